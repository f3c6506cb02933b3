"""Pretrain a method from a config.

Example:
    python tools/train.py configs/actclr/actclr_joint_utdmhad_xsub.py --work-dir work_dirs/first
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
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and metrics.json; default work_dirs/CONFIG')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CKPT',
                        help='go on from CKPT, or from the newest checkpoint of the work dir if CKPT is left out')
    parser.add_argument('--amp', action='store_true', help='run encoders in bf16 (CPU and GPU)')
    parser.add_argument('--compile', action='store_true',
                        help='torch.compile the encoders: the first steps take minutes, see docs/performance.md')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate with the batch of all processes, from the batch that the recipe '
                             'of the config is for (auto_scale_lr.base_batch_size)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', default={},
                        help='override entries of the config, e.g. data_root=data/mine train_dataloader.batch_size=64')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run are started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmactclr.apis import run_training
    if args.auto_scale_lr:
        args.cfg_options['auto_scale_lr.enable'] = True
    run_training(args.config, work_dir=args.work_dir, resume=args.resume, amp=args.amp,
                 options=args.cfg_options, launcher=args.launcher, pictures=True,
                 compile=args.compile)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
