"""Take one stream out of a checkpoint of several, or join checkpoints of single streams.

The weights stay as they are, bit for bit; the model card of the new file says what it holds. Old checkpoints have
no card: for them --config names the config of all streams.

Examples:
    python tools/model_converters/streams.py take work_dirs/3s/epoch_400.pth motion motion.pth
    python tools/model_converters/streams.py join 3s.pth --joint joint.pth --motion motion.pth --bone bone.pth
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

STREAMS = ('joint', 'motion', 'bone')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--config', help='config of all streams, for checkpoints without a model card')
    common.add_argument('--overwrite', action='store_true', help='replace DST if it exists')
    actions = parser.add_subparsers(dest='action', metavar='{take,join}', required=True)
    take = actions.add_parser('take', parents=[common], help='one stream out of a checkpoint of several',
                              description='Take one stream out of a checkpoint of several.')
    take.add_argument('src', metavar='SRC', help='checkpoint of several streams')
    take.add_argument('stream', metavar='STREAM', choices=STREAMS, help=', '.join(STREAMS))
    take.add_argument('dst', metavar='DST', help='file to write')
    join = actions.add_parser('join', parents=[common], help='checkpoints of two or three single streams into one',
                              description='Join checkpoints of two or three single streams, whose models differ in '
                                          'nothing else.')
    join.add_argument('dst', metavar='DST', help='file to write')
    join.add_argument('--joint', metavar='CKPT', help='checkpoint of the joint stream')
    join.add_argument('--motion', metavar='CKPT', help='checkpoint of the motion stream')
    join.add_argument('--bone', metavar='CKPT', help='checkpoint of the bone stream')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Take or join, and say what was written."""
    args = parse_args(argv)
    from mmactclr.engine.checkpoints import join_streams, take_stream
    if args.action == 'take':
        path = take_stream(args.src, args.stream, args.dst, args.config, args.overwrite)
        print(f'{path}: the {args.stream} stream of {args.src}')
        return
    parts = {stream: getattr(args, stream) for stream in STREAMS if getattr(args, stream)}
    path = join_streams(args.dst, parts, args.config, args.overwrite)
    print(f'{path}: ' + ', '.join(f'{stream} from {source}' for stream, source in parts.items()))


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
