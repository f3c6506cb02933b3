#!/usr/bin/env python
"""Makes archives from archives, and files that say which training sequences have labels.

    python tools/dataset_converters/archive.py subset data/ntu60 data/ntu60_mini --max-per-class 20
    python tools/dataset_converters/archive.py merge data/utd_mhad data/nw_ucla data/both
    python tools/dataset_converters/archive.py shard data/ntu60 data/shards --shards 8
    python tools/dataset_converters/archive.py remap data/mine data/mine_ntu25 --layout ntu25
    python tools/dataset_converters/archive.py split data/mine data/mine2 --name xsub --column subject --test anna ben
    python tools/dataset_converters/archive.py label-subset data/ntu60 labels/xsub_1.json --split xsub --fraction 0.01

What is written is whole or absent; an archive at the destination is replaced with --overwrite only.
"""
import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# the package beside this file, whichever is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmactclr.errors import ConfigError, DataError  # noqa: E402
from mmactclr.utils.cli import ToolParser, report_errors  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

    from mmactclr.datasets import SkeletonArchive


def build_parser() -> argparse.ArgumentParser:
    """One sub-command a task."""
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest='task', metavar='TASK', required=True)

    def add(name: str, about: str, run, source: str = 'SRC', several: bool = False) -> argparse.ArgumentParser:
        task = tasks.add_parser(name, help=about, description=about)
        task.add_argument('src', metavar=source, **(dict(nargs='+') if several else {}), help='archive folder')
        task.set_defaults(run=run)
        if name != 'label-subset':
            task.add_argument('dst', metavar='DST', help='archive folder to create')
            task.add_argument('--overwrite', action='store_true', help='replace an archive at DST')
        return task

    add('merge', 'several archives of the same joints as one', merge, several=True)

    task = add('subset', 'the sequences for which everything given holds', subset)
    task.add_argument('--where', action='append', default=[], metavar='COLUMN=VALUE',
                      help='also != < <= > >=; may be repeated')
    task.add_argument('--split', metavar='NAME[:PART]', help='those in a split, or in its train or test part')
    task.add_argument('--classes', nargs='+', metavar='NAME')
    task.add_argument('--names', metavar='FILE', help='text file with the name of one sequence a line')
    task.add_argument('--max-per-class', type=int, metavar='N', help='at most N of every class, drawn at random')
    task.add_argument('--drop-classes', action='store_true', help='leave out classes without a sequence, number anew')
    task.add_argument('--seed', type=int, default=0)

    task = add('shard', 'parts that processes or machines each read one of, see docs/data.md', shard)
    task.add_argument('--shards', type=int, required=True, metavar='N', help='number of parts')

    task = add('remap', 'the joints of another layout, by name, in metres, y up', remap)
    task.add_argument('--layout', required=True, metavar='NAME', help='such as ntu25; a wrong one lists all')
    task.add_argument('--up', metavar='AXIS', help='axis that points up, such as +z; estimated if not given')
    task.add_argument('--metres-per-unit', type=float, metavar='X')

    task = add('split', 'further splits: by column, at random, in folds or from a file', split)
    task.add_argument('--name', required=True, help='of the split; folds are NAME_0, NAME_1, ...')
    way = task.add_mutually_exclusive_group(required=True)
    way.add_argument('--column', help='with --train and --test, the values of this column')
    way.add_argument('--random', type=float, metavar='SHARE', help='share of the test part, class by class')
    way.add_argument('--folds', type=int, metavar='K', help='every sequence tests in one of K splits')
    way.add_argument('--from-file', metavar='FILE', help='lines "train", names, "test", names')
    task.add_argument('--train', nargs='+', metavar='VALUE', help='with --column; default: all others')
    task.add_argument('--test', nargs='+', metavar='VALUE', help='with --column; default: all others')
    task.add_argument('--group', metavar='COLUMN', help='with --random and --folds: equal values stay together')
    task.add_argument('--seed', type=int, default=0)

    task = add('label-subset', 'which training sequences have labels, as a file (semi-supervised protocol)',
               label_subset, 'ARCHIVE')
    task.add_argument('out', metavar='OUT', help='JSON file to write')
    task.add_argument('--split', required=True)
    task.add_argument('--fraction', type=float, metavar='X', help='round(X n) of the n of a class, at least one')
    task.add_argument('--per-class', type=int, metavar='N')
    task.add_argument('--seed', type=int, default=0)
    task.add_argument('--overwrite', action='store_true', help='replace OUT')
    return parser


def merge(args: argparse.Namespace) -> 'SkeletonArchive':
    """Merge archives."""
    from mmactclr.datasets import editing
    return editing.merge_archives(args.src, args.dst, overwrite=args.overwrite)


def subset(args: argparse.Namespace) -> 'SkeletonArchive':
    """Write a part of an archive."""
    from mmactclr.datasets import SkeletonArchive, editing
    names = None
    if args.names:
        try:
            names = [line.strip() for line in Path(args.names).read_text(encoding='utf-8').splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise DataError(f'--names {args.names} cannot be read ({error}): expected one name a line') from error
    positions = editing.select_sequences(
        SkeletonArchive.open(args.src), where=args.where, split=args.split, classes=args.classes, names=names,
        max_per_class=args.max_per_class, seed=args.seed)
    return editing.subset_archive(args.src, args.dst, positions, drop_classes=args.drop_classes,
                                  overwrite=args.overwrite)


def shard(args: argparse.Namespace) -> str:
    """Write an archive in parts."""
    from mmactclr.datasets import editing
    parts = editing.shard_archive(args.src, args.dst, args.shards, overwrite=args.overwrite)
    return f'{args.dst}: {len(parts)} parts of {len(parts[-1])} to {len(parts[0])} sequences'


def remap(args: argparse.Namespace) -> 'SkeletonArchive':
    """Write an archive with other joints."""
    from mmactclr.datasets import editing
    return editing.remap_archive(args.src, args.dst, args.layout, up=args.up, metres_per_unit=args.metres_per_unit,
                                 overwrite=args.overwrite)


def split(args: argparse.Namespace) -> 'SkeletonArchive':
    """Write an archive with further splits."""
    from mmactclr.datasets import SkeletonArchive, editing
    archive = SkeletonArchive.open(args.src)
    if (args.train or args.test) and not args.column:
        raise ConfigError('--train and --test are values of a column: name it with --column')
    if args.group and args.random is None and args.folds is None:
        raise ConfigError('--group is for --random and --folds')
    splits: dict[str, np.ndarray]
    if args.column:
        splits = {args.name: editing.split_by_column(archive, args.column, args.train, args.test)}
    elif args.random is not None:
        splits = {args.name: editing.random_split(archive, args.random, args.seed, args.group)}
    elif args.folds is not None:
        folds = editing.fold_splits(archive, args.folds, args.seed, args.group)
        splits = {f'{args.name}_{k}': fold for k, fold in enumerate(folds)}
    else:
        splits = {args.name: editing.split_from_file(archive, args.from_file)}
    return editing.add_splits(args.src, args.dst, splits, overwrite=args.overwrite)


def label_subset(args: argparse.Namespace) -> str:
    """Write which training sequences have labels."""
    import numpy as np

    from mmactclr.datasets import SkeletonArchive, draw_label_subset, write_label_subset
    if Path(args.out).exists() and not args.overwrite:
        raise ConfigError(f'{args.out} exists: pass --overwrite to replace it')
    archive = SkeletonArchive.open(args.src)
    how = dict(fraction=args.fraction, per_class=args.per_class, seed=args.seed)
    positions = draw_label_subset(archive, args.split, **how)
    write_label_subset(args.out, archive, positions, split=args.split, **how)
    return (f'{args.out}: {len(positions)} of {len(archive.split(args.split, "train"))} training sequences, '
            f'{len(np.unique(archive.labels[positions]))} classes')


def main(argv: list[str] | None = None) -> None:
    """Run one task."""
    args = build_parser().parse_args(argv)
    from mmactclr.datasets import SkeletonArchive
    done = args.run(args)
    if isinstance(done, SkeletonArchive):
        parts = ', '.join(f'{name} {counts["train"]}/{counts["test"]}' for name, counts in done.meta['splits'].items())
        done = (f'{done.path}: {len(done)} sequences, {len(done.classes)} classes, layout {done.layout.name}, splits '
                f'(train/test): {parts or "none"}')
    print(done)


if __name__ == '__main__':
    with report_errors():
        main()
    sys.exit(0)
