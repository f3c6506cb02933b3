"""Sequence by sequence from one archive into the writer of another."""
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.converters.base import BaseConverter
from mmactclr.datasets.splits import usable_splits


def about(archive: SkeletonArchive, **extra: Any) -> dict[str, Any]:
    """What an archive says of itself, as arguments of :class:`ArchiveWriter`; ``extra`` goes over the old one."""
    meta = archive.meta
    return dict(fps=meta.get('fps'), unit=meta.get('unit', ''), source=meta.get('source', ''),
                licence=meta.get('licence', ''), extra={**meta.get('extra', {}), **extra})


def copy_sequences(archive: SkeletonArchive, writer: ArchiveWriter, positions: Iterable[int],
                   change: Callable[[int, dict[str, Any]], Mapping[str, Any]] | None = None,
                   joints: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
    """Adds sequences of an archive to a writer, with their columns and notes.

    Args:
        archive: Where they come from.
        writer: Where they go.
        positions: Which, in this order.
        change: Makes the arguments of :meth:`ArchiveWriter.add` from the position and those of the old sequence.
        joints: Makes the new coordinates (M, T, V, C) from the old ones.
    """
    names = archive.extra_columns
    columns = {name: archive.column(name) for name in ('label', 'name', *names)}
    notes = defaultdict(list)
    for note, sequences in archive.meta.get('notes', {}).items():
        for sequence in sequences:
            notes[sequence].append(note)
    for i in BaseConverter.track(list(positions), f'copying from {archive.path.name}'):
        fields = {name: column[i] for name, column in columns.items()}
        fields['notes'] = notes[str(fields['name'])]
        keypoint = archive.sequence(i)
        writer.add(joints(keypoint) if joints else keypoint, **(change(i, fields) if change else fields))


def kept_splits(archive: SkeletonArchive, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Splits of the chosen sequences; one of which a part would be empty is left out, which the log says."""
    return usable_splits({name: archive.column(f'split_{name}')[positions] for name in archive.split_names})
