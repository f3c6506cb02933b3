"""Sequences of fixed size, prepared once per archive and kept beside it, memory-mapped.

``ARCHIVE/prepared/<hash>/`` holds ``keypoints.npy`` (N, M, T, V, C), ``mask.npy`` (N, M) and
``preparation.json``, for all sequences of the archive. The hash covers the archive's checksum, its
layout and the preparation, so nothing stale is ever read; unused folders may be deleted.
"""
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.errors import DataError
from mmactclr.transforms.adaptation import SkeletonAdapter
from mmactclr.transforms.preparation import default_preparation, prepare

from .archive import SkeletonArchive
from .archive_format import DAMAGE, KEYPOINTS, PREPARED

# Raise it when the same preparation config gives other numbers than before.
PREPARATION_VERSION = 1
MASK, DESCRIPTION = 'mask.npy', 'preparation.json'
# Sequences prepared at a time: as many as fit in a few hundred MiB on the way.
_BLOCK = 2048


class PreparedSequences:
    """All sequences of an archive at a fixed size.

    Attributes:
        keypoint (np.ndarray): (N, M, T, V, C) float32, memory-mapped where it lies on disk; absent
            persons are zero.
        mask (np.ndarray): (N, M) bool, who is there.
        folder (Path | None): Where it lies, None in memory.
    """

    def __init__(self, keypoint: np.ndarray, mask: np.ndarray, folder: Path | None = None) -> None:
        self.keypoint, self.mask, self.folder = keypoint, mask, folder

    @classmethod
    def open(cls, folder: Path) -> 'PreparedSequences':
        """Maps what :func:`prepared_sequences` has written."""
        keypoint = np.load(folder / KEYPOINTS, mmap_mode='r', allow_pickle=False)
        return cls(keypoint, np.load(folder / MASK, allow_pickle=False), folder)

    def __reduce__(self) -> tuple[Callable[..., 'PreparedSequences'], tuple[Any, ...]]:
        # A pickled memory map is a copy of the file: a loader worker maps it by itself.
        if self.folder is None:
            return PreparedSequences, (self.keypoint, self.mask)
        return PreparedSequences.open, (self.folder,)


def prepared_sequences(archive: SkeletonArchive, num_frames: int, max_persons: int,
                       preparation: Sequence[Mapping[str, Any]] | None = None, cache: bool = True,
                       adapter: SkeletonAdapter | None = None) -> PreparedSequences:
    """Prepares all sequences of an archive, or maps what an earlier call has prepared.

    Args:
        archive: Source, coordinates in its unit.
        num_frames: T.
        max_persons: M; of more persons the first are kept.
        preparation: Transform configs, ``default_preparation(num_frames)`` if None.
        cache: Keep the result beside the archive. Where that folder cannot be written it stays in
            memory, which the log says.
        adapter: Converts recordings to the layout of a model first.

    Raises:
        DataError: A sequence has coordinates that are not finite, or nobody in it.
    """
    if preparation is None:
        preparation = default_preparation(num_frames)
    description = dict(
        version=PREPARATION_VERSION, archive=archive.checksum, layout=archive.layout.to_dict(),
        num_frames=num_frames, max_persons=max_persons,
        preparation=[dict(step) for step in preparation])
    if adapter is not None:
        description['adapter'] = adapter.describe()
    text = json.dumps(description, indent=1, sort_keys=True)
    folder = archive.path / PREPARED / hashlib.sha256(text.encode()).hexdigest()[:16]
    size = (archive.layout.num_joints, archive.num_axes) if adapter is None else (adapter.target.num_joints, 3)
    shape = (len(archive), max_persons, num_frames, *size)
    if cache and folder.is_dir():
        try:
            found = PreparedSequences.open(folder)
            if found.keypoint.shape == shape and found.mask.shape == shape[:2]:
                return found
        except DAMAGE:
            pass
        print_log(f'{folder} is damaged and is made again', logger='current',
                  level=logging.WARNING)
        shutil.rmtree(folder, ignore_errors=True)
    print_log(f'preparing {len(archive)} sequences of {archive.path}', logger='current')
    if cache:
        try:
            return _prepare_on_disk(archive, shape, preparation, folder, text, adapter)
        except OSError as error:
            print_log(f'{folder} cannot be written ({error}): prepared sequences stay in memory',
                      logger='current', level=logging.WARNING)
    keypoint, mask = np.empty(shape, np.float32), np.empty(shape[:2], bool)
    _fill(archive, preparation, keypoint, mask, adapter)
    return PreparedSequences(keypoint, mask)


def _prepare_on_disk(archive: SkeletonArchive, shape: tuple[int, ...],
                     preparation: Sequence[Mapping[str, Any]], folder: Path, text: str,
                     adapter: SkeletonAdapter | None) -> PreparedSequences:
    aside = folder.with_name(f'.{folder.name}.partial-{os.getpid()}')
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        keypoint = np.lib.format.open_memmap(aside / KEYPOINTS, 'w+', np.float32, shape)
        mask = np.empty(shape[:2], bool)
        _fill(archive, preparation, keypoint, mask, adapter)
        keypoint.flush()
        del keypoint
        np.save(aside / MASK, mask)
        (aside / DESCRIPTION).write_text(text + '\n', encoding='utf-8')
        try:
            os.replace(aside, folder)
        except OSError:
            # Another process was faster; what it wrote is the same.
            if not folder.is_dir():
                raise
        return PreparedSequences.open(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fill(archive: SkeletonArchive, preparation: Sequence[Mapping[str, Any]], keypoint: np.ndarray,
          mask: np.ndarray, adapter: SkeletonAdapter | None) -> None:
    """Prepares block by block into the given arrays."""
    max_persons, num_frames = keypoint.shape[1:3]
    for start in range(0, len(archive), _BLOCK):
        block = range(start, min(start + _BLOCK, len(archive)))
        sequences = [archive.sequence(i) for i in block]
        for i, sequence in zip(block, sequences, strict=True):
            if not np.isfinite(sequence).all() or not sequence[:max_persons].any():
                raise DataError(
                    f'{archive.path}: sequence {str(archive.column("name")[i])!r} has '
                    'coordinates that are not finite, no frames or nobody in it; '
                    'tools/dataset_converters/verify.py lists all of them, converting again leaves '
                    'them out')
        layout = archive.layout
        if adapter is not None:
            sequences, layout = [adapter(sequence[:max_persons]) for sequence in sequences], adapter.target
        prepared, present = prepare(sequences, layout, num_frames, max_persons, preparation)
        keypoint[start:block.stop] = prepared.numpy()
        mask[start:block.stop] = present.numpy()
