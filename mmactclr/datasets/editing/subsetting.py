"""A part of an archive."""
import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.splits import PARTS
from mmactclr.errors import ConfigError
from mmactclr.utils import derive_seed

from .copying import about, copy_sequences, kept_splits

_COMPARE = {'=': operator.eq, '!=': operator.ne, '<': operator.lt, '<=': operator.le, '>': operator.gt,
            '>=': operator.ge}
_CONDITION = re.compile(r'(\w+)(!=|<=|>=|=|<|>)(.*)')


def select_sequences(archive: SkeletonArchive, *, where: Sequence[str] = (), split: str | None = None,
                     classes: Sequence[str] | None = None, names: Sequence[str] | None = None,
                     max_per_class: int | None = None, seed: int = 0) -> np.ndarray:
    """Positions of the sequences for which everything holds, ascending.

    Args:
        archive: Where to look.
        where: ``COLUMN=VALUE`` with a column of the archive and one of = != < <= > >=; columns of text know = and !=.
        split: ``NAME`` (both parts) or ``NAME:PART``.
        classes: Names of classes to keep.
        names: Names of sequences to keep.
        max_per_class: Keep at most so many of every class, drawn at random.
        seed: Seed of the draw.

    Raises:
        ConfigError: There is no such column, class, sequence or split, or nothing is left.
    """
    keep = np.ones(len(archive), dtype=bool)
    for condition in where:
        keep &= _holds(archive, condition)
    if split is not None:
        name, _, part = split.partition(':')
        parts = [archive.split(name, part)] if part else [archive.split(name, part) for part in PARTS]
        keep &= np.isin(np.arange(len(archive)), np.concatenate(parts))
    if classes is not None:
        unknown = [name for name in classes if name not in archive.classes]
        if unknown:
            raise ConfigError(f'{archive.path} has no class {unknown}; it has {", ".join(archive.classes) or "none"}')
        keep &= np.isin(archive.labels, [archive.classes.index(name) for name in classes])
    if names is not None:
        unknown = sorted(set(names) - set(archive.column('name').tolist()))
        if unknown:
            raise ConfigError(f'{archive.path} has {len(unknown)} of {len(set(names))} names not, the first '
                              f'{", ".join(unknown[:3])}')
        keep &= np.isin(archive.column('name'), list(names))
    positions = np.flatnonzero(keep)
    if max_per_class is not None:
        if max_per_class < 1:
            raise ConfigError(f'max_per_class is {max_per_class}, expected 1 or more')
        order = np.random.default_rng(derive_seed('subset', seed)).permutation(positions)
        labels = archive.labels[order]
        positions = np.sort(np.concatenate([order[labels == label][:max_per_class] for label in np.unique(labels)]))
    if not len(positions):
        raise ConfigError(f'no sequence of {archive.path} fits all that was asked for')
    return positions


def _holds(archive: SkeletonArchive, condition: str) -> np.ndarray:
    match = _CONDITION.fullmatch(condition)
    if not match or match[1] not in archive.columns:
        raise ConfigError(f'{condition!r}: expected COLUMN=VALUE (or != < <= > >=) with a column of {archive.path}: '
                          f'{", ".join(archive.columns)}')
    name, sign, text = match.groups()
    column = archive.column(name)
    if column.dtype.kind == 'U':
        if sign not in ('=', '!='):
            raise ConfigError(f'{condition!r}: column {name!r} holds text, which is compared with = and != alone')
        return _COMPARE[sign](column, text)
    try:
        return _COMPARE[sign](column, float(text))
    except ValueError:
        raise ConfigError(f'{condition!r}: column {name!r} holds numbers, found {text!r}') from None


def subset_archive(src: str | Path, dst: str | Path, positions: np.ndarray, *, drop_classes: bool = False,
                   overwrite: bool = False) -> SkeletonArchive:
    """Writes some sequences of an archive as a new one; splits with an empty part are left out.

    Args:
        src: Archive.
        dst: Archive folder to create.
        positions: Which sequences, in this order.
        drop_classes: Leave out classes without a sequence and number the others anew; all stay otherwise.
        overwrite: Replace an archive at ``dst``.

    Raises:
        DataError: ``src`` cannot be read or ``dst`` must not be replaced.
    """
    archive = SkeletonArchive.open(src)
    used = np.unique(archive.labels[positions]) if drop_classes else np.arange(len(archive.classes))
    classes = [archive.classes[k] for k in used] if archive.classes else []
    number = {int(k): new for new, k in enumerate(used)} if archive.classes else {-1: -1}

    def change(_: int, fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, 'label': number[int(fields['label'])]}

    with ArchiveWriter(dst, archive.layout, classes=classes, overwrite=overwrite, strict=True,
                       **about(archive, subset_of=archive.checksum)) as writer:
        copy_sequences(archive, writer, positions.tolist(), change)
        return writer.finish(kept_splits(archive, positions))
