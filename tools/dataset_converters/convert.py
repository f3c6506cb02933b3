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

from mmactclr.errors import MMActCLRError  # noqa: E402
from mmactclr.plugins import find_plugins  # noqa: E402
from mmactclr.utils.cli import ToolParser, registered_in, require_known  # noqa: E402
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
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument('--custom-imports', action='append', default=[])
    found, rest = early.parse_known_args(argv)
    if not found.custom_imports and not find_plugins() and (not rest or rest[0].startswith('-')):
        # nothing but the list of formats is asked for, and it is known without an import
        build_parser(listed=True).parse_args(argv)
    try:
        if found.custom_imports:
            from mmactclr.utils.overrides import import_modules
            import_modules(found.custom_imports, '--custom-imports')
        parser = build_parser()
        from mmactclr.registry import CONVERTERS
        word = next((word for word in rest if not word.startswith('-')), None)
        if word is not None:
            require_known(parser, 'format', word, sorted(CONVERTERS.module_dict),
                          '; a converter of your own joins them with --custom-imports MODULE before FORMAT')
        options = vars(parser.parse_args(argv))
        options.pop('custom_imports')
        converter = CONVERTERS.get(options.pop('format'))()
        print(describe(converter.convert(**options)))
    except (MMActCLRError, ImportError, OSError) as error:
        print('error:', ' '.join(str(error).split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted: the same command goes on where it was, where the format allows it', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
