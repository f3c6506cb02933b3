#!/usr/bin/env python
"""Reads every byte of a skeleton archive and says what it holds and what is wrong with it.

    python tools/dataset_converters/verify.py DST

Exit status 1 when the archive cannot be used. Test sequences that are copies of training ones are
a warning: the data may be published like that.
"""
import argparse
import sys

from mmactclr.datasets import verify_archive


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 where something is wrong."""
    parser = argparse.ArgumentParser(description='Verify a skeleton archive.')
    parser.add_argument('dst', metavar='DST', help='archive folder')
    parser.add_argument('--copies', action='store_true',
                        help='list all test sequences that are copies of training sequences')
    args = parser.parse_args(argv)
    report = verify_archive(args.dst)
    if args.copies:
        for split, pairs in report.copies.items():
            for test, train in pairs:
                print(f'{split}\t{test}\t{train}')
    print(report)
    return 0 if report.ok else 1


if __name__ == '__main__':
    sys.exit(main())
