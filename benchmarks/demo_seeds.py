"""Repeat the demo with several seeds and print the median of every row.

Each finished seed is one line of JSON; a run that was interrupted goes on where it was, and seeds that are in the
file are not run again.

Example:
    python benchmarks/demo_seeds.py --seeds 0 1 2 --out work_dirs/demo_seeds
"""
import argparse
import json
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# batches this small gain nothing from a second thread, and lose much wherever the cores are shared; torch reads it
# when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2],
                        help='seeds of weights, order and augmentation; the data stays the same (default: 0 1 2)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo_seeds'),
                        help='folder for runs, results.jsonl and table.txt (default: %(default)s)')
    return parser.parse_args()


def read_results(path: Path) -> dict[int, dict[str, dict[str, float]]]:
    """Results by seed; a last line cut short by an interruption does not count."""
    results = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        results[record['seed']] = record['rows']
    return results


def main() -> None:
    """Run what is missing, then write the table."""
    args = parse_args()
    from mmactclr.apis.demo import run_demo
    from mmactclr.evaluation import format_table
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / 'results.jsonl'
    for seed in args.seeds:
        if seed not in read_results(log):
            print(f'\n=== seed {seed} ===', flush=True)
            rows = run_demo(ROOT / 'configs' / 'demo' / 'actclr_motion_demo.py', args.out / f'seed{seed}', seed)
            with log.open('a') as file:
                file.write(json.dumps({'seed': seed, 'rows': rows}) + '\n')
    results = read_results(log)
    runs = [results[seed] for seed in args.seeds]
    medians = {row: {column: statistics.median(run[row][column] for run in runs) for column in runs[0][row]}
               for row in runs[0]}
    table = f'median of seeds {args.seeds}, top-1 accuracy in %\n' + format_table(medians)
    (args.out / 'table.txt').write_text(table + '\n')
    print('\n' + table)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
