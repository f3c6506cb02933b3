"""Splits of an archive: by subject, at random, in folds, from a file."""
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.label_subset import positions_by_name
from mmactclr.datasets.splits import split_counts
from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import derive_seed

from .copying import about, copy_sequences

_HEADING = re.compile(r'(train|test)\s*:?', re.IGNORECASE)


def split_by_column(archive: SkeletonArchive, column: str, train: Sequence[str] | None = None,
                    test: Sequence[str] | None = None) -> np.ndarray:
    """Sequences by what a column says, such as the subject.

    Args:
        archive: What to split.
        column: Name of the column.
        train: Values of the training part; all but ``test`` if None.
        test: Values of the test part; all but ``train`` if None.

    Returns:
        (N,) ``train``, ``test`` or empty.

    Raises:
        ConfigError: Neither is given, a value does not occur, or one is in both.
    """
    values = archive.column(column).astype(str)
    if train is None and test is None:
        raise ConfigError('a split by column needs the values of the training or of the test part, or both')
    for part in (train, test):
        unknown = sorted({str(value) for value in part or ()} - set(values.tolist()))
        if unknown:
            raise ConfigError(f'column {column!r} of {archive.path} has no value {", ".join(unknown[:5])}; it has '
                              f'{", ".join(np.unique(values)[:20])}')
    both = {str(value) for value in train or ()} & {str(value) for value in test or ()}
    if both:
        raise ConfigError(f'{", ".join(sorted(both))} cannot be in both parts')
    in_train = ~np.isin(values, list(map(str, test or ()))) if train is None else np.isin(values, list(map(str, train)))
    in_test = np.isin(values, list(map(str, test))) if test is not None else ~in_train
    return np.where(in_train, 'train', np.where(in_test, 'test', ''))


def random_split(archive: SkeletonArchive, test_fraction: float, seed: int = 0, group: str | None = None) -> np.ndarray:
    """A random split with about the same share of every class in the test part.

    Args:
        archive: What to split.
        test_fraction: Share of the test part, between 0 and 1.
        seed: Seed of the draw.
        group: Column whose equal values stay in one part, such as ``subject``.

    Returns:
        (N,) ``train`` or ``test``.

    Raises:
        ConfigError: The fraction is not between 0 and 1, or a part would be empty.
    """
    if not 0 < test_fraction < 1:
        raise ConfigError(f'the share of the test part is {test_fraction}, expected a number between 0 and 1')
    rng = np.random.default_rng(derive_seed('split', seed))
    if group is None:
        test = np.zeros(len(archive), dtype=bool)
        for label in np.unique(archive.labels):
            members = rng.permutation(np.flatnonzero(archive.labels == label))
            test[members[:round(test_fraction * len(members))]] = True
    else:
        fold = _deal_groups(archive, group, [test_fraction, 1 - test_fraction], rng)
        test = fold == 0
    return _checked(np.where(test, 'test', 'train'), archive)


def fold_splits(archive: SkeletonArchive, folds: int, seed: int = 0, group: str | None = None) -> list[np.ndarray]:
    """One split a fold; every sequence is in the test part of exactly one. As many folds as groups leave one out.

    Args:
        archive: What to split.
        folds: Number of folds, 2 or more.
        seed: Seed of the draw.
        group: Column whose equal values stay in one part.

    Raises:
        ConfigError: There are fewer than two folds, or fewer sequences or groups than folds.
    """
    rng = np.random.default_rng(derive_seed('folds', seed))
    number: np.ndarray | None
    if group is None:
        number = np.empty(len(archive), dtype=int)
        at = 0
        for label in np.unique(archive.labels):
            members = rng.permutation(np.flatnonzero(archive.labels == label))
            # the next class goes on where this one stopped, so that folds differ by one sequence at most
            number[members] = (at + np.arange(len(members))) % max(folds, 1)
            at += len(members)
        available = len(archive)
    else:
        available = len(np.unique(archive.column(group)))
        number = _deal_groups(archive, group, [1 / max(folds, 1)] * folds, rng) if 2 <= folds <= available else None
    if not 2 <= folds <= available:
        raise ConfigError(f'{folds} folds: expected from 2 to {available}, the number of '
                          + (f'values of {group!r}' if group else 'sequences'))
    return [_checked(np.where(number == fold, 'test', 'train'), archive) for fold in range(folds)]


def _deal_groups(archive: SkeletonArchive, group: str, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """(N,) part of every sequence: groups go one by one, the largest first, where classes lack most."""
    values, member = np.unique(archive.column(group), return_inverse=True)
    labels = np.unique(archive.labels, return_inverse=True)[1]
    counts = np.zeros((len(values), labels.max() + 1))
    np.add.at(counts, (member, labels), 1)
    wanted = np.outer(shares, counts.sum(0))
    held = np.zeros_like(wanted)
    part = np.empty(len(values), dtype=int)
    order = rng.permutation(len(values))
    order = order[np.argsort(-counts[order].sum(1), kind='stable')]
    for rank, i in enumerate(order):
        # squared distance to what is wanted, if the group went there
        now = ((held - wanted) ** 2).sum(1)
        then = ((held + counts[i] - wanted) ** 2).sum(1)
        empty = np.flatnonzero(~held.any(1))
        # the last groups go to parts that would stay empty
        choice = empty if len(order) - rank <= len(empty) else np.arange(len(shares))
        part[i] = choice[np.argmin((then - now)[choice])]
        held[part[i]] += counts[i]
    return part[member]


def split_from_file(archive: SkeletonArchive, path: str | Path) -> np.ndarray:
    """A split from a text file: a line ``train``, then a name a line, a line ``test``, then a name a line.

    Returns:
        (N,) ``train``, ``test`` or empty.

    Raises:
        DataError: The file cannot be read, has another form, or names a sequence that is not there or in both parts.
    """
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f'{path} cannot be read ({error}): expected a text file of sequence names') from error
    place = positions_by_name(archive)
    split, part = np.full(len(archive), '', dtype='<U5'), None
    for number, line in enumerate(lines, 1):
        name = line.strip()
        heading = _HEADING.fullmatch(name)
        if heading and name not in place:
            part = heading[1].lower()
        elif name and part is None:
            raise DataError(f'{path}, line {number}: {name[:40]!r}, expected a line "train" or "test" before the names')
        elif name:
            if name not in place:
                raise DataError(f'{path}, line {number}: {archive.path} has no sequence {name[:80]!r}')
            if split[place[name]] not in ('', part):
                raise DataError(f'{path}, line {number}: {name[:80]!r} is in both parts')
            split[place[name]] = part
    return _checked(split, archive)


def _checked(split: np.ndarray, archive: SkeletonArchive) -> np.ndarray:
    counts = split_counts(split)
    if not all(counts.values()):
        raise ConfigError(f'{archive.path}: the split would have {counts["train"]} train and {counts["test"]} test '
                          'sequences; both parts need some')
    return split


def add_splits(src: str | Path, dst: str | Path, splits: Mapping[str, np.ndarray], *,
               overwrite: bool = False) -> SkeletonArchive:
    """Writes an archive with further splits; one of an old name is replaced.

    Args:
        src: Archive.
        dst: Archive folder to create.
        splits: Name to (N,) ``train``, ``test`` or empty.
        overwrite: Replace an archive at ``dst``.

    Raises:
        DataError: ``src`` cannot be read, ``dst`` must not be replaced, or a split has not one word a sequence.
    """
    archive = SkeletonArchive.open(src)
    old: dict[str, Any] = {name: archive.column(f'split_{name}') for name in archive.split_names}
    with ArchiveWriter(dst, archive.layout, classes=archive.classes, overwrite=overwrite, strict=True,
                       **about(archive)) as writer:
        copy_sequences(archive, writer, range(len(archive)))
        return writer.finish({**old, **splits})
