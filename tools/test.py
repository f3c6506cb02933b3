"""Evaluate a checkpoint beside the baselines it has to beat; writes WORK_DIR/metrics.json and WORK_DIR/reports.

A config with model='checkpoint' evaluates any checkpoint that has a model card: model, layout, num_frames,
max_persons and preparation are those of the card. Of these, what --cfg-options names (layout, num_frames,
max_persons) stays as it says there, and is refused where the weights do not fit it.

Example:
    python tools/test.py configs/actclr/actclr_joint_utdmhad_xsub.py work_dirs/first/epoch_300.pth
"""
import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import OptionsAction, ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or the name of one of the configs of this package')
    parser.add_argument('checkpoint',
                        help="checkpoint of that config; any with a card where the config says model='checkpoint'")
    parser.add_argument('--work-dir', help='folder for the log and metrics.json; default work_dirs/CONFIG')
    parser.add_argument('--amp', action='store_true', help='run encoders in bf16 (CPU and GPU)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', default={},
                        help='override entries of the config, e.g. split=xview_clean')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run are started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Build the runner and test."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmactclr.apis import run_test
    run_test(args.config, args.checkpoint, work_dir=args.work_dir, options=args.cfg_options,
             launcher=args.launcher, pictures=True, amp=args.amp)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
