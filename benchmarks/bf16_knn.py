"""Evaluate one checkpoint in fp32 and in bf16 on several data sets and write what the accuracy of kNN loses.

Example:
    python benchmarks/bf16_knn.py actclr.pth --sets utdmhad uiprmd nwucla
"""
import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPLITS = {'utdmhad': 'utdmhad_xsub', 'uiprmd': 'uiprmd_xsub', 'nwucla': 'nwucla_xview', 'synthetic': 'synthetic_xsub'}
METRIC = 'knn/backbone_k20'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='checkpoint with a model card')
    parser.add_argument('--sets', nargs='+', choices=SPLITS, default=['utdmhad', 'uiprmd', 'nwucla'],
                        help='data sets, each an archive at the data_root of its configs (default: all real ones)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/bf16_knn'),
                        help='folder for runs and table.md (default: %(default)s)')
    return parser.parse_args()


def evaluate(data: str, checkpoint: Path, amp: bool, folder: Path) -> tuple[float, int]:
    """Accuracy in percent and number of test sequences."""
    subprocess.run([sys.executable, 'tools/test.py', f'configs/benchmarks/knn/knn_{SPLITS[data]}.py', str(checkpoint),
                    *(['--amp'] if amp else []), '--work-dir', str(folder)], cwd=ROOT, check=True,
                   env={'OMP_NUM_THREADS': '1', **os.environ}, stdout=subprocess.DEVNULL)
    metrics = json.loads((folder / 'metrics.json').read_text())['test']['metrics']
    with next(folder.glob('reports/*k20.classes.csv')).open(newline='', encoding='utf-8') as file:
        return metrics[METRIC], sum(int(row['count']) for row in csv.DictReader(file))


def main() -> None:
    """Evaluate and write the table."""
    args = parse_args()
    lines = ['| | sequences | fp32 | bf16 |', '|---|---|---|---|']
    right, total = {False: 0., True: 0.}, 0
    for data in args.sets:
        found = {}
        for amp in (False, True):
            folder = (args.out / f'{data}_{"bf16" if amp else "fp32"}').resolve()
            found[amp], count = evaluate(data, args.checkpoint.resolve(), amp, folder)
            right[amp] += found[amp] * count
        total += count
        lines.append(f'| {data} | {count} | {found[False]:.1f} | {found[True]:.1f} |')
    lines.append(f'| together | {total} | {right[False] / total:.2f} | {right[True] / total:.2f} |')
    (args.out / 'table.md').write_text('\n'.join(lines) + '\n')
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
