"""An archive with the joints of another layout, in metres, y up."""
from pathlib import Path

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.skeleton_dataset import make_adapter

from .copying import about, copy_sequences, kept_splits


def remap_archive(src: str | Path, dst: str | Path, layout: str, *, up: str | None = None,
                  metres_per_unit: float | None = None, overwrite: bool = False) -> SkeletonArchive:
    """Writes what ``SkeletonDataset(remap=True)`` makes of the recordings of an archive.

    Args:
        src: Archive.
        dst: Archive folder to create.
        layout: Name of a registered layout.
        up: Axis that points up, such as ``+z``; estimated if None.
        metres_per_unit: In place of the archive's unit.
        overwrite: Replace an archive at ``dst``.

    Raises:
        DataError: ``src`` cannot be read or ``dst`` must not be replaced.
        ConfigError: There is no such layout or axis, or the two layouts have no joint in common.
    """
    archive = SkeletonArchive.open(src)
    adapter = make_adapter(archive, layout, up, metres_per_unit)
    target = adapter.target if adapter else archive.layout
    known = {**about(archive, remapped=adapter.describe() if adapter else {}), 'unit': 'm'}
    every = np.arange(len(archive))
    with ArchiveWriter(dst, target, classes=archive.classes, overwrite=overwrite, strict=True, **known) as writer:
        copy_sequences(archive, writer, every.tolist(), joints=adapter)
        return writer.finish(kept_splits(archive, every))
