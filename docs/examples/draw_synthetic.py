"""Draws sequences of the synthetic set with the joints that move in every frame, which are known.

    python docs/examples/draw_synthetic.py synthetic.png
"""
import argparse

from mmactclr.datasets.synthetic import make_synthetic
from mmactclr.visualization import Viewpoint
from mmactclr.visualization.contact_sheet import SequenceRows, draw_contact_sheet
from mmactclr.visualization.motion_clip import MotionClip
from mmactclr.visualization.space import SpaceClip

CLASSES = ('wave right', 'kick left', 'sit down', 'push')


def main() -> None:
    """Generate one sequence of some classes, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='PNG file to write')
    args = parser.parse_args()
    made = make_synthetic(num_subjects=2, repeats=1)
    rows = []
    for name in CLASSES:
        i = made.label.tolist().index(made.classes.index(name))
        clip = MotionClip('motion', made.sequences[i], made.layout, weight=made.moving[i].astype(float), unit='m',
                          weight_key=((0., 'still'), (1., 'moves faster than 0.15 m/s')))
        rows.append(SequenceRows(f'{name}  |  {len(clip.joints[0])} frames, 30 a second',
                                 [SpaceClip.of(clip, Viewpoint())]))
    caption = 'What moves is known, not measured: without noise and sway. A bone has the mean of its ends.'
    print(draw_contact_sheet(rows, args.out, caption=caption))


if __name__ == '__main__':
    main()
