"""Make a file that others use by name of a checkpoint: without what only training needs, and with a card.

ABOUT is a YAML file with the name and everything that a person has to say: on what, how and by which command the model
was trained, what it reaches, what it is not good for, the licence; docs/model_zoo.md names the fields. Checksum, size
and what the checkpoint says of itself are added. By default the two files go where names are looked up.

Example:
    python tools/model_converters/publish_model.py work_dirs/first/epoch_300.pth first.yml --out published
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', metavar='CKPT', help='checkpoint of tools/train.py')
    parser.add_argument('about', metavar='ABOUT', help='YAML file that describes it; an earlier card serves as well')
    parser.add_argument('--out', metavar='DIR', help='folder to write to; default mmactclr/zoo of this package')
    parser.add_argument('--overwrite', action='store_true', help='replace weights and card of the same name')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write weights and card."""
    args = parse_args(argv)
    from mmactclr.engine.checkpoints.publishing import publish_model
    from mmactclr.utils.zoo import ZOO
    path = publish_model(args.checkpoint, args.about, args.out or ZOO, args.overwrite)
    print(f'written: {path} ({path.stat().st_size / 1e6:.2f} MB) and {path.with_suffix(".yml").name}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
