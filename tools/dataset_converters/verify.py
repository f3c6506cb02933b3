#!/usr/bin/env python
"""Reads every byte of a skeleton archive and says what it holds and what is wrong with it.

    python tools/dataset_converters/verify.py DST

Exit status 1 when something is wrong. Test sequences that are copies of training ones are wrong, unless the archive
declares them in its column duplicate_of or --allow-copies is given.
"""
import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dst', metavar='DST', help='archive folder')
    parser.add_argument('--copies', action='store_true',
                        help='list all test sequences that are copies of training sequences')
    parser.add_argument('--allow-copies', action='store_true',
                        help='such copies are a warning even where the archive does not declare them')
    parser.add_argument('--json', metavar='FILE', help='write the findings to this file, too')
    return parser.parse_args(argv)


def write_json(findings: dict[str, Any], file: Path) -> None:
    """Write aside and rename; the folder is made where it is missing.

    Raises:
        ConfigError: The file cannot be written.
    """
    from mmactclr.errors import ConfigError
    aside = file.with_name(f'.{file.name}.{os.getpid()}.tmp')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(json.dumps(findings, indent=1, ensure_ascii=False, allow_nan=False) + '\n',
                             encoding='utf-8')
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f'--json {file} cannot be written: {error}') from error


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 where something is wrong."""
    args = parse_args(argv)
    from mmactclr.datasets import verify_archive
    from mmactclr.datasets.converters import BaseConverter
    from mmactclr.errors import MMActCLRError
    try:
        report = verify_archive(args.dst, args.allow_copies, lambda items: BaseConverter.track(items, 'verifying'))
        if args.copies:
            for split, pairs in report.copies.items():
                for test, train in pairs:
                    print(f'{split}\t{test}\t{train}')
        print(report)
        if args.json:
            write_json(report.to_dict(), Path(args.json))
    except MMActCLRError as error:
        print('error:', ' '.join(str(error).split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    return 0 if report.ok else 1


if __name__ == '__main__':
    sys.exit(main())
