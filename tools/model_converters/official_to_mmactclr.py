"""Convert public weights of the ActCLR / AimCLR / CrosSCLR / SkeletonCLR code family, or write ours under public names.

SRC holds encoder_q.*, with a classifier (after a linear evaluation) or with projector, key encoder and memory (after
pretraining), one stream or three. DST is a checkpoint that carries its model, joints and preparation: no config is
needed to use it.

Example:
    python tools/model_converters/official_to_mmactclr.py actclr_ntu60_xview_joint.pt actclr.pth
    python tools/test.py configs/benchmarks/transfer/checkpoint_utdmhad_xsub.py actclr.pth
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', metavar='SRC', help='file to read')
    parser.add_argument('dst', metavar='DST', help='file to write')
    parser.add_argument('--stream', choices=['joint', 'motion', 'bone'], default='joint',
                        help='stream of a file that holds one (default: %(default)s); with three the names tell')
    parser.add_argument('--layout', default='ntu25', help='joint layout it was trained with (default: %(default)s)')
    parser.add_argument('--strided-units', type=int, nargs='*', metavar='N',
                        help='units, counted from 1, that halve the frame rate, none if no number follows; default: '
                        'where channels double')
    parser.add_argument('--classes', metavar='FILE',
                        help='text file with the name of one class a line; default: those of NTU RGB+D for 60 and 120 '
                        'classes, else numbers')
    parser.add_argument('--reverse', action='store_true', help='write a checkpoint of ours under public names')
    parser.add_argument('--overwrite', action='store_true', help='replace DST if it exists')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert one file."""
    args = parse_args(argv)
    from mmactclr.engine.checkpoints.official_files import convert_file, revert_file
    if args.reverse:
        lines = revert_file(args.src, args.dst, overwrite=args.overwrite)
    else:
        lines = convert_file(args.src, args.dst, layout=args.layout, stream=args.stream,
                             strided_units=args.strided_units, classes=args.classes, overwrite=args.overwrite)
    print('\n'.join([*lines, f'written: {args.dst}']))


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
