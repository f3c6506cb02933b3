#!/usr/bin/env python
"""Converts motion data of any registered format into a skeleton archive.

    python tools/dataset_converters/convert.py FORMAT SRC DST [options]
"""
import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the package beside this file, whichever is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmactclr.utils.cli import ToolParser, registered_in, run_format_tool  # noqa: E402
from mmactclr.utils.places import PACKAGE  # noqa: E402

if TYPE_CHECKING:
    from mmactclr.datasets import SkeletonArchive


def build_parser(listed: bool = False) -> argparse.ArgumentParser:
    """One sub-command per registered format.

    Args:
        listed: Only name the formats of this package, which takes no import: for the list that ``--help`` shows.
    """
    parser = ToolParser(
        description='Convert motion data into a skeleton archive.',
        epilog='convert.py FORMAT --help shows the options of a format. A converter of your own '
               'joins the list with --custom-imports MODULE before FORMAT.')
    parser.add_argument('--custom-imports', metavar='MODULE', action='append', default=[],
                        help='import this module, which registers a converter')
    formats = parser.add_subparsers(dest='format', metavar='FORMAT', required=True)
    if listed:
        for name, about in registered_in(PACKAGE / 'datasets' / 'converters', 'CONVERTERS').items():
            formats.add_parser(name, help=about)
        return parser
    import mmactclr.datasets.converters  # noqa: F401  (registers the formats)
    from mmactclr.registry import CONVERTERS
    for name in sorted(CONVERTERS.module_dict):
        about = (inspect.getdoc(CONVERTERS.get(name)) or name).splitlines()[0]
        sub = formats.add_parser(name, help=about, description=about)
        sub.add_argument('src', metavar='SRC', help='file or folder to read')
        sub.add_argument('dst', metavar='DST', help='archive folder to create')
        sub.add_argument('--overwrite', action='store_true', help='replace the archive at DST')
        sub.add_argument('--strict', action='store_true',
                         help='stop at a sequence that cannot be used instead of leaving it out')
        CONVERTERS.get(name)().add_arguments(sub)
    return parser


def describe(archive: 'SkeletonArchive') -> str:
    """One line about a new archive."""
    splits = ', '.join(f'{name} {counts["train"]}/{counts["test"]}'
                       for name, counts in archive.meta['splits'].items())
    return (f'{archive.path}: {len(archive)} sequences, {len(archive.classes)} classes, layout '
            f'{archive.layout.name}, splits (train/test): {splits or "none"}')


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 where the input is at fault."""
    return run_format_tool(
        argv, build_parser, 'CONVERTERS', 'a converter',
        lambda converter, options: describe(converter.convert(**options)),
        'interrupted: the same command goes on where it was, where the format allows it')


if __name__ == '__main__':
    sys.exit(main())
