#!/usr/bin/env python
"""Writes a skeleton archive in a format that other code reads.

    python tools/dataset_converters/export.py FORMAT ARCHIVE DST [options]
"""
import argparse
import inspect
import sys
from pathlib import Path

# the package beside this file, whichever is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmactclr.utils.cli import ToolParser, registered_in, run_format_tool  # noqa: E402
from mmactclr.utils.places import PACKAGE  # noqa: E402


def build_parser(listed: bool = False) -> argparse.ArgumentParser:
    """One sub-command per registered format.

    Args:
        listed: Only name the formats of this package, which takes no import: for the list that ``--help`` shows.
    """
    parser = ToolParser(
        description='Write a skeleton archive in a format that other code reads.',
        epilog='export.py FORMAT --help shows the options of a format. An exporter of your own joins the list with '
               '--custom-imports MODULE before FORMAT.')
    parser.add_argument('--custom-imports', metavar='MODULE', action='append', default=[],
                        help='import this module, which registers an exporter')
    formats = parser.add_subparsers(dest='format', metavar='FORMAT', required=True)
    if listed:
        for name, about in registered_in(PACKAGE / 'datasets' / 'exporters', 'EXPORTERS').items():
            formats.add_parser(name, help=about)
        return parser
    import mmactclr.datasets.exporters  # noqa: F401  (registers the formats)
    from mmactclr.registry import EXPORTERS
    for name in sorted(EXPORTERS.module_dict):
        about = (inspect.getdoc(EXPORTERS.get(name)) or name).splitlines()[0]
        sub = formats.add_parser(name, help=about, description=about)
        sub.add_argument('archive', metavar='ARCHIVE', help='archive folder to read')
        sub.add_argument('dst', metavar='DST', help='file or folder to create')
        sub.add_argument('--overwrite', action='store_true', help='replace what an export wrote to DST before')
        EXPORTERS.get(name)().add_arguments(sub)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 where the input is at fault."""
    return run_format_tool(
        argv, build_parser, 'EXPORTERS', 'an exporter',
        lambda exporter, options: f'{exporter.export(**options)}: written', 'interrupted: nothing was written')


if __name__ == '__main__':
    sys.exit(main())
