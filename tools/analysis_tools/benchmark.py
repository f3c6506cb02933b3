"""Measure what a part of the toolkit costs on this machine, beside a plain implementation of the same arithmetic.

    encoder     the encoder, in inference and in training
    step        a whole step of pretraining: augmentation, losses, backward pass, optimiser, momentum, memory
    data        augmentation of a batch, and the way from an archive to the model
    evaluation  extraction of features, nearest neighbours, linear probe
    scaling     what many GPUs and many sequences would cost, projected from what is measured here

Times are those of the process, on one thread unless --threads says more; what is compared runs alternately. Tables
go to the terminal and, with the machine they are of, to FOLDER/SUBCOMMAND.json and .md.

Examples:
    python tools/analysis_tools/benchmark.py encoder
    python tools/analysis_tools/benchmark.py step configs/actclr_release/actclr-release_joint_ntu60_xview.py --batch 128
    python tools/analysis_tools/benchmark.py encoder --grow
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
PARTS = ('encoder', 'step', 'data', 'evaluation', 'scaling')
DEFAULT_CONFIG = 'configs/actclr/actclr_joint_ntu60_xsub.py'


def build_parser(listed: bool = False) -> argparse.ArgumentParser:
    """One sub-command a part.

    Args:
        listed: Only name the parts, which takes no import: for the list that ``--help`` shows.
    """
    from mmactclr.utils.cli import OptionsAction, ToolParser, first_line
    from mmactclr.utils.places import PACKAGE
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest='part', required=True, metavar='PART')
    if listed:
        for name in PARTS:
            parts.add_parser(name, help=first_line(PACKAGE / 'apis' / 'benchmark' / f'{name}.py'))
        return parser
    from mmactclr.apis import benchmark
    for name in PARTS:
        part = benchmark.PARTS[name]
        sub = parts.add_parser(name, help=part.__doc__.splitlines()[0], description=part.__doc__)
        sub.add_argument('config', nargs='?', default=DEFAULT_CONFIG,
                         help='pretraining config whose encoder, method and views are measured (default: %(default)s)')
        part.add_arguments(sub)
        sub.add_argument('--device', default='cpu', help='cpu, cuda, cuda:N or auto (default: %(default)s)')
        sub.add_argument('--threads', type=int, default=1, help='threads of PyTorch (default: %(default)s)')
        sub.add_argument('--repeats', type=int, default=7, help='rounds of a median (default: %(default)s)')
        sub.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='KEY=VALUE',
                         help='override fields of the config')
        sub.add_argument('--out', metavar='FOLDER', default='work_dirs/benchmark',
                         help='where the tables are written (default: %(default)s)')
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    words = sys.argv[1:] if argv is None else argv
    return build_parser(listed=not words or words[0].startswith('-')).parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure one part and write its tables."""
    args = parse_args(argv)
    from mmactclr.apis.benchmark import run_benchmark
    run_benchmark(args)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
