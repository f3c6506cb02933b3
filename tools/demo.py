"""Pretrain ActCLR on the built-in motion set and show what every stage is worth, in minutes on two cores.

Example:
    python tools/demo.py --work-dir work_dirs/demo
"""
import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# batches this small gain nothing from a second thread, and lose much wherever the cores are shared; torch reads it
# when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')

CONFIG = 'configs/demo/actclr_motion_demo.py'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'),
                        help='folder for data, checkpoints, pictures and metrics.json (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of weights, order and augmentation (default: 0)')
    return parser.parse_args()


def main() -> None:
    """Run the demo and print the table."""
    args = parse_args()
    started = time.monotonic()
    from mmactclr.apis.demo import run_demo
    from mmactclr.engine.hooks.progress_hook import format_duration
    run_demo(ROOT / CONFIG, args.work_dir, args.seed)
    print(f'done in {format_duration(time.monotonic() - started)}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
