"""One archive as several, so that processes or machines each read a part."""
import os
import shutil
from pathlib import Path

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.errors import ConfigError, DataError

from .subsetting import subset_archive

_NAME = 'part_{:04d}'


def shard_archive(src: str | Path, dst: str | Path, shards: int, *, overwrite: bool = False) -> list[SkeletonArchive]:
    """Writes ``dst/part_0000``, ``dst/part_0001``, ...: sequence i goes to part i modulo ``shards``.

    All parts appear at once, when the last one is complete.

    Args:
        src: Archive.
        dst: Folder to create.
        shards: Number of parts.
        overwrite: Replace what an earlier call wrote to ``dst``.

    Raises:
        ConfigError: There are fewer sequences than parts, or less than one part is asked for.
        DataError: ``src`` cannot be read or ``dst`` must not be replaced.
    """
    archive, dst = SkeletonArchive.open(src), Path(dst)
    if not 1 <= shards <= len(archive):
        raise ConfigError(f'shards is {shards}, expected 1 to {len(archive)}, the sequences of {archive.path}')
    if dst.exists():
        parts = sorted(dst.iterdir()) if dst.is_dir() else []
        if not parts or any(not path.name.startswith('part_') for path in parts):
            raise DataError(f'{dst} exists and holds something else than parts of an archive: choose another folder')
        if not overwrite:
            raise DataError(f'{dst} exists: pass --overwrite to replace it')
    aside, old = dst.with_name(f'.{dst.name}.partial'), dst.with_name(f'.{dst.name}.old')
    shutil.rmtree(aside, ignore_errors=True)
    try:
        for part in range(shards):
            subset_archive(archive.path, aside / _NAME.format(part), np.arange(part, len(archive), shards))
        if dst.exists():
            os.replace(dst, old)
        os.replace(aside, dst)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if dst.exists():
            shutil.rmtree(old, ignore_errors=True)
    return [SkeletonArchive.open(path) for path in sorted(dst.iterdir())]
