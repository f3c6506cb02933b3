"""The skeleton archive: motion on disk, memory-mapped, without pickles.

A folder of three files::

    keypoints.npy   (P, V, C) float32, the rows of sequence 0, then of sequence 1, ...; inside a
                    sequence person by person, inside a person frame by frame
    index.npz       one column per field, N values each: offset, frames, persons, label, name,
                    split_<name>, and whatever the source knows (subject, camera, ...)
    meta.json       format, version, layout, fps, unit, classes, splits, source, licence, files

Absent persons and frames are all zero. Opening checks sizes and offsets, which costs nothing;
:func:`mmactclr.datasets.verification.verify_archive` reads every byte.
"""
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures.layouts import Layout

from .archive_format import DAMAGE, INDEX, KEYPOINTS, META, REQUIRED_COLUMNS, read_meta
from .splits import PARTS


class SkeletonArchive:
    """Read-only view of an archive; build one with :meth:`open`.

    Attributes:
        path (Path): The folder.
        meta (dict): What ``meta.json`` says.
        layout (Layout): Joints and bones of every sequence.
        classes (tuple[str, ...]): Class names; label k is ``classes[k]``. Empty when unlabelled.
    """

    def __init__(self, path: Path, meta: dict[str, Any], index: Mapping[str, np.ndarray],
                 keypoints: np.ndarray) -> None:
        self.path = path
        self.meta = meta
        try:
            self.layout = Layout.from_dict(meta['layout'])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f'{path / META}: field "layout" is damaged ({error}): convert the data again'
            ) from error
        self.classes: tuple[str, ...] = tuple(meta['classes'])
        self._index = dict(index)
        self._keypoints = keypoints

    @classmethod
    def open(cls, path: str | Path) -> 'SkeletonArchive':
        """Opens an archive without reading its coordinates.

        Raises:
            DataError: There is none at ``path``, or a file is missing, cut short or contradicts
                another. The message names the file.
        """
        path = Path(path)
        meta = read_meta(path)
        for name in (KEYPOINTS, INDEX):
            file, entry = path / name, meta['files'][name]
            if not file.is_file():
                raise DataError(f'{file} is missing: convert the data again')
            if file.stat().st_size != entry['bytes']:
                raise DataError(
                    f'{file} has {file.stat().st_size} bytes, {META} says {entry["bytes"]}: the '
                    'file was cut short or edited; convert the data again')
        try:
            keypoints = np.load(path / KEYPOINTS, mmap_mode='r', allow_pickle=False)
            with np.load(path / INDEX, allow_pickle=False) as stored:
                index = {name: stored[name] for name in stored.files}
        except DAMAGE as error:
            raise DataError(f'{path} cannot be read ({error}): convert the data again') from error
        archive = cls(path, meta, index, keypoints)
        archive._check_consistency()
        return archive

    def _check_consistency(self) -> None:
        missing = [name for name in REQUIRED_COLUMNS if name not in self._index]
        if missing:
            raise DataError(f'{self.path / INDEX} has no column {missing}')
        lengths = {name: len(column) for name, column in self._index.items()}
        if set(lengths.values()) != {self.meta['sequences']}:
            raise DataError(
                f'{self.path / INDEX}: columns of lengths {lengths}, {META} says '
                f'{self.meta["sequences"]} sequences')
        shape, joints = self._keypoints.shape, self.layout.num_joints
        if self._keypoints.dtype != np.float32 or len(shape) != 3 or shape[1] != joints:
            raise DataError(
                f'{self.path / KEYPOINTS} is {self._keypoints.dtype} {shape}, expected float32 '
                f'(rows, {joints}, C) for layout {self.layout.name!r}')
        rows = self._index['frames'] * self._index['persons']
        starts = np.concatenate([[0], np.cumsum(rows)])
        if not np.array_equal(starts[:-1], self._index['offset']) or starts[-1] != shape[0]:
            raise DataError(
                f'{self.path / INDEX}: offsets, frames and persons do not add up to the {shape[0]} '
                f'rows of {KEYPOINTS}')

    def __len__(self) -> int:
        return len(self._index['offset'])

    def __repr__(self) -> str:
        return (f'SkeletonArchive({str(self.path)!r}, {len(self)} sequences, '
                f'{len(self.classes)} classes, layout {self.layout.name!r})')

    def __reduce__(self) -> tuple[Callable[[Path], 'SkeletonArchive'], tuple[Path]]:
        # A pickled memory map is a copy of the file: a loader worker opens it by itself.
        return SkeletonArchive.open, (self.path,)

    @property
    def checksum(self) -> str:
        """Hash of coordinates and index as noted at conversion (hexadecimal)."""
        files = self.meta['files']
        both = files[KEYPOINTS]['sha256'] + files[INDEX]['sha256']
        return hashlib.sha256(both.encode()).hexdigest()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns of the index."""
        return tuple(self._index)

    @property
    def extra_columns(self) -> list[str]:
        """Columns beyond those of every archive and the splits."""
        return [name for name in self._index if name not in REQUIRED_COLUMNS and not name.startswith('split_')]

    def column(self, name: str) -> np.ndarray:
        """One value per sequence, (N,).

        Raises:
            DataError: There is no such column; the message lists those that exist.
        """
        if name not in self._index:
            raise DataError(f'{self.path / INDEX} has no column {name!r}; it has {self.columns}')
        return self._index[name]

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64 class of every sequence, -1 where there is none."""
        return self._index['label']

    def frames(self, i: int) -> int:
        """Number of frames of sequence ``i``."""
        return int(self._index['frames'][i])

    def persons(self, i: int) -> int:
        """Number of persons stored for sequence ``i``."""
        return int(self._index['persons'][i])

    def sequence(self, i: int) -> np.ndarray:
        """Coordinates of sequence ``i``, a read-only view (M_i, T_i, V, C) in ``meta['unit']``."""
        start, shape = int(self._index['offset'][i]), (self.persons(i), self.frames(i))
        rows = self._keypoints[start:start + shape[0] * shape[1]]
        return rows.reshape(*shape, *self._keypoints.shape[1:])

    @property
    def num_axes(self) -> int:
        """C: 3 for positions in space, 2 for positions in an image."""
        return self._keypoints.shape[2]

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(n.removeprefix('split_') for n in self._index if n.startswith('split_'))

    def split(self, name: str, part: str) -> np.ndarray:
        """Positions of the sequences of one part of a split.

        Args:
            name: Split, such as ``xsub``.
            part: ``train`` or ``test``.

        Returns:
            int64 positions, ascending.

        Raises:
            ConfigError: No such split or part; the message lists those that exist.
            DataError: The part is empty.
        """
        if part not in PARTS:
            raise ConfigError(f'part {part!r} of split {name!r}: expected one of {PARTS}')
        if name not in self.split_names:
            known = ', '.join(self.split_names) or (
                'none. To pretrain on all sequences without evaluation set split=None val_dataloader=None '
                'val_cfg=None val_evaluator=None')
            raise ConfigError(f'{self.path} has no split {name!r}; it has: {known}')
        positions = np.flatnonzero(self._index[f'split_{name}'] == part)
        if not len(positions):
            raise DataError(f'{self.path}: the {part} part of split {name!r} is empty')
        return positions.astype(np.int64)
