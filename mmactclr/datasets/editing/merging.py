"""Several archives of the same joints as one."""
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.errors import ConfigError

from .copying import copy_sequences

_ORIGIN, _CLASS, _COPY, _RATE = 'source_archive', 'class', 'duplicate_of', 'fps'


def merge_archives(sources: Sequence[str | Path], dst: str | Path, *, overwrite: bool = False) -> SkeletonArchive:
    """Writes the sequences of several archives into one, in their order.

    Classes are united by name, splits too (sequences of an archive without a split are in neither part of it). A column
    that an archive lacks is -1, or empty, there. ``source_archive`` says where a sequence comes from; names that more
    than one archive has get it in front. Where an archive has no classes the whole has none, and the column ``class``
    keeps their names; where frame rates differ they go into a column ``fps``.

    Args:
        sources: Archives, two or more.
        dst: Archive folder to create.
        overwrite: Replace an archive at ``dst``.

    Raises:
        DataError: An archive cannot be read or ``dst`` must not be replaced.
        ConfigError: Joints or unit differ, or a column holds text here and numbers there.
    """
    archives = [SkeletonArchive.open(path) for path in sources]
    if len(archives) < 2:
        raise ConfigError(f'{len(archives)} archives to merge, expected two or more')
    _check_alike(archives)
    origins = _origins(archives)
    labelled = all(archive.classes for archive in archives)
    classes = list(dict.fromkeys(name for archive in archives for name in archive.classes)) if labelled else []
    if not labelled and any(archive.classes for archive in archives):
        print_log("some archives have no classes: the new one has none; the column 'class' keeps the names",
                  logger='current')
    missing = _missing_values(archives)
    common = {name for name, count in Counter(
        name for archive in archives for name in archive.column('name').tolist()).items() if count > 1}
    splits = list(dict.fromkeys(name for archive in archives for name in archive.split_names))
    words: dict[str, list[np.ndarray]] = {name: [] for name in splits}
    meta = archives[0].meta
    rates = {archive.meta.get('fps') for archive in archives}
    # one that was merged of several rates has them in a column
    rates |= {_RATE for archive in archives if _RATE in archive.columns}
    if len(rates) > 1:
        print_log("frame rates differ: they are in the column 'fps'", logger='current')
        missing[_RATE] = -1.
    with ArchiveWriter(
            dst, archives[0].layout, classes=classes, overwrite=overwrite, strict=True,
            fps=None if len(rates) > 1 else meta.get('fps'),
            unit=meta.get('unit', ''),
            source='; '.join(dict.fromkeys(a.meta.get('source', '') for a in archives)),
            licence='; '.join(dict.fromkeys(a.meta.get('licence', '') for a in archives)),
            extra=dict(merged=[dict(name=origin, checksum=archive.checksum) for origin, archive in
                               zip(origins, archives, strict=True)])) as writer:
        for archive, origin in zip(archives, origins, strict=True):
            def change(_: int, fields: dict[str, Any], archive: SkeletonArchive = archive,
                       origin: str = origin) -> dict[str, Any]:
                label = int(fields['label'])
                named = archive.classes[label] if archive.classes else str(fields.get(_CLASS, ''))
                fields = {**missing, **fields, 'name': _named(fields['name'], origin, common)}
                fields[_ORIGIN] = str(fields.get(_ORIGIN) or origin)
                if fields.get(_COPY):
                    fields[_COPY] = _named(fields[_COPY], origin, common)
                if len(rates) > 1:
                    fields[_RATE] = float(archive.meta.get('fps') or fields.get(_RATE) or -1)
                fields['label'] = classes.index(named) if classes else -1
                return fields if labelled else {**fields, _CLASS: named}

            copy_sequences(archive, writer, range(len(archive)), change)
            for name in splits:
                here = name in archive.split_names
                words[name].append(archive.column(f'split_{name}') if here else np.full(len(archive), '', '<U5'))
        return writer.finish({name: np.concatenate(parts) for name, parts in words.items()})


def _named(name: Any, origin: str, common: set[str]) -> str:
    return f'{origin}/{name}' if str(name) in common else str(name)


def _origins(archives: Sequence[SkeletonArchive]) -> list[str]:
    """Names of the folders, numbered where they are the same."""
    names = [archive.path.resolve().name for archive in archives]
    return [name if names.count(name) == 1 else f'{name}_{i}' for i, name in enumerate(names)]


def _check_alike(archives: Sequence[SkeletonArchive]) -> None:
    first = archives[0]
    for other in archives[1:]:
        if (first.layout.joints, first.layout.bones) != (other.layout.joints, other.layout.bones):
            raise ConfigError(f'{first.path} has the joints of {first.layout.name!r}, {other.path} those of '
                              f'{other.layout.name!r}: remap one of them first')
        if first.num_axes != other.num_axes:
            raise ConfigError(f'{first.path} has {first.num_axes} coordinates per joint, {other.path} '
                              f'{other.num_axes}: they cannot be one archive')
        if first.meta.get('unit') != other.meta.get('unit'):
            raise ConfigError(f'{first.path} has the unit {first.meta.get("unit")!r}, {other.path} '
                              f'{other.meta.get("unit")!r}: remap one of them, which gives metres')


def _missing_values(archives: Sequence[SkeletonArchive]) -> dict[str, Any]:
    """What stands for a column that an archive lacks; columns of text and of numbers are not mixed."""
    values: dict[str, Any] = {}
    for archive in archives:
        for name in archive.extra_columns:
            value = '' if archive.column(name).dtype.kind == 'U' else -1
            if values.setdefault(name, value) != value:
                raise ConfigError(f'column {name!r} holds text in one archive and numbers in another ({archive.path}): '
                                  'rename it in one of them')
    return values
