"""Write one page about a run: WORK_DIR/report.html, a single file that needs no network and no JavaScript.

What was trained on which data, results beside the baselines, curves, accuracy by class and confusions, actionlets,
nearest neighbours of test sequences and the most confident mistakes. What the work dir lacks is said on the page.

Example:
    python tools/train.py configs/actclr/actclr_joint_utdmhad_xsub.py --work-dir work_dirs/utd
    python tools/test.py configs/actclr/actclr_joint_utdmhad_xsub.py work_dirs/utd/epoch_300.pth \\
        --work-dir work_dirs/utd
    python tools/analysis_tools/report.py work_dirs/utd
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import OptionsAction, ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', help='folder of tools/train.py or tools/test.py')
    parser.add_argument('--out', metavar='FILE', help='page to write; default WORK_DIR/report.html')
    parser.add_argument('--checkpoint', metavar='FILE', help='default the newest epoch_N.pth of the work dir')
    parser.add_argument('--examples', type=int, default=6, metavar='N',
                        help='classes of which an actionlet is shown; default 6')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', default={},
                        help='override entries of the config, e.g. data_root=data/other')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write the page."""
    args = parse_args(argv)
    from mmactclr.apis import write_report
    from mmactclr.errors import ConfigError
    if args.examples < 1:
        raise ConfigError(f'--examples is {args.examples}, expected 1 or more')
    path = write_report(args.work_dir, args.out, args.checkpoint, args.cfg_options, args.examples)
    print(f'written: {path} ({path.stat().st_size / 2 ** 20:.1f} MB)')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
