"""Writes example recordings as a sensor might: CSV files of 15 joints in centimetres, and a table of who and what.

    python docs/examples/example_recordings.py recordings
"""
import csv
import sys
from pathlib import Path

from mmactclr.datasets.synthetic import FPS, LAYOUT, make_synthetic
from mmactclr.structures import get_layout

# what this sensor calls its joints, and where they are in the built-in set
JOINTS = {
    'Crown': 'head', 'NeckBase': 'neck', 'Middle': 'spine_mid',
    'ShL': 'left_shoulder', 'ElL': 'left_elbow', 'WrL': 'left_wrist',
    'ShR': 'right_shoulder', 'ElR': 'right_elbow', 'WrR': 'right_wrist',
    'HiL': 'left_hip', 'KnL': 'left_knee', 'AnL': 'left_ankle',
    'HiR': 'right_hip', 'KnR': 'right_knee', 'AnR': 'right_ankle'}
CLASSES = 6


def main(folder: Path, num_subjects: int = 8, repeats: int = 4) -> None:
    """Writes the recordings and labels.csv."""
    made = make_synthetic(num_subjects=num_subjects, repeats=repeats, num_cameras=2, seed=0)
    layout = get_layout(LAYOUT)
    joints = [layout.joints.index(name) for name in JOINTS.values()]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'labels.csv').open('w', newline='') as table:
        labels = csv.writer(table)
        labels.writerow(['file', 'label', 'subject'])
        for i, sequence in enumerate(made.sequences):
            if made.label[i] >= CLASSES:
                continue
            name = f'recording_{i:03}'
            labels.writerow([name, made.classes[made.label[i]], f'person{made.subject[i]}'])
            with (folder / f'{name}.csv').open('w', newline='') as file:
                lines = csv.writer(file)
                lines.writerow(['time', *(f'{joint}_{axis}' for joint in JOINTS for axis in 'xyz')])
                for t, frame in enumerate(sequence[0][:, joints] * 100):
                    lines.writerow([f'{t / FPS:.3f}', *(f'{x:.2f}' for x in frame.ravel())])


if __name__ == '__main__':
    main(Path(sys.argv[1]))
