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
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures.layouts import Layout, get_layout

from .archive_format import (
    DAMAGE,
    FORMAT,
    INDEX,
    KEYPOINTS,
    META,
    REQUIRED_COLUMNS,
    VERSION,
    check_destination,
    file_sha256,
    npy_header,
    read_meta,
)
from .splits import PARTS, as_split, split_counts


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

    def __reduce__(self):
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


class ArchiveWriter:
    """Writes an archive sequence by sequence, under a temporary name until it is complete.

    Example:
        >>> with ArchiveWriter('data/mine', 'ntu25', classes=['wave', 'nod']) as writer:
        ...     for keypoint, label, name, subject in my_sequences:  # (M, T, V, C) in metres
        ...         writer.add(keypoint, label=label, name=name, subject=subject)
        ...     writer.finish(splits={'xsub': ['train', 'test', ...]})

    Sequences that cannot be used (no frames, nobody in any frame, coordinates that are not finite,
    label out of range) are left out, counted and named in the log and in ``meta['excluded']``.

    Args:
        dst: Folder to create; its parents are created too.
        layout: Joints of the data (a layout or the name of a registered one).
        classes: Class names; without any, every label is -1.
        fps: Frames per second, if known.
        unit: Unit of the coordinates as written, ``m`` where possible.
        source: Where the data comes from.
        licence: Terms of use.
        extra: Anything else worth keeping, JSON-able.
        overwrite: Replace an archive at ``dst``; anything else there is never replaced.
        strict: Raise instead of leaving a sequence out.

    Raises:
        DataError: ``dst`` exists and is not to be, or must not be, replaced.
    """

    def __init__(self, dst: str | Path, layout: Layout | str, *, classes: Sequence[str] = (),
                 fps: float | None = None, unit: str = 'm', source: str = '', licence: str = '',
                 extra: Mapping[str, Any] | None = None, overwrite: bool = False,
                 strict: bool = False) -> None:
        self.dst = Path(dst)
        self.layout = get_layout(layout)
        self.classes = tuple(str(name) for name in classes)
        self._about = dict(fps=fps, unit=unit, source=source, licence=licence,
                           extra=dict(extra or {}))
        self._strict = strict
        self._columns: dict[str, list] = {name: [] for name in REQUIRED_COLUMNS}
        self._kept: list[bool] = []
        self._rows = 0
        self._num_axes: int | None = None
        self.excluded: dict[str, list[str]] = {}
        check_destination(self.dst, overwrite)
        self.dst.parent.mkdir(parents=True, exist_ok=True)
        self._aside = self.dst.with_name(f'.{self.dst.name}.partial-{os.getpid()}')
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir()
        self._file = (self._aside / KEYPOINTS).open('wb')
        self._file.write(npy_header((0, self.layout.num_joints, 0)))

    def __enter__(self) -> 'ArchiveWriter':
        return self

    def __exit__(self, *_) -> None:
        self.abort()

    def abort(self) -> None:
        """Removes what was written so far; does nothing after :meth:`finish`."""
        self._file.close()
        shutil.rmtree(self._aside, ignore_errors=True)

    def add(self, keypoint: np.ndarray, *, label: int = -1, name: str = '', **columns: Any) -> bool:
        """Appends one sequence.

        Args:
            keypoint: (M, T, V, C) coordinates; persons and frames that are absent all zero.
            label: Position in ``classes``, -1 for unlabelled data.
            name: What the source calls it; a running number by default.
            **columns: One number, flag or text each (subject, camera, ...), the same ones at every
                call.

        Returns:
            Whether the sequence was kept.

        Raises:
            DataError: The shape does not fit the layout or the sequences before, the columns
                differ, or, with ``strict``, the sequence cannot be used.
        """
        name = str(name) or f'sequence_{len(self._kept):06d}'
        keypoint = np.asarray(keypoint)
        self._check_shape(keypoint, name)
        fault = self._fault(keypoint, int(label))
        if fault and self._strict:
            raise DataError(f'sequence {name!r}: {fault}')
        self._kept.append(not fault)
        if fault:
            self.excluded.setdefault(fault, []).append(name)
            return False
        fields = dict(offset=self._rows, frames=keypoint.shape[1], persons=keypoint.shape[0],
                      label=int(label), name=name, **columns)
        if not self._columns['offset']:
            self._columns = {field: [] for field in fields}
        if fields.keys() != self._columns.keys():
            raise DataError(
                f'sequence {name!r} has columns {sorted(columns)}, those before it '
                f'{sorted(self._columns.keys() - set(REQUIRED_COLUMNS))}')
        for field, value in fields.items():
            self._columns[field].append(value)
        self._file.write(np.ascontiguousarray(keypoint, dtype='<f4').data)
        self._rows += keypoint.shape[0] * keypoint.shape[1]
        return True

    def _check_shape(self, keypoint: np.ndarray, name: str) -> None:
        joints = self.layout.num_joints
        if keypoint.ndim != 4 or keypoint.shape[2] != joints or keypoint.shape[3] not in (2, 3):
            raise DataError(
                f'sequence {name!r} has shape {keypoint.shape}, expected (persons, frames, '
                f'{joints}, 2 or 3) for layout {self.layout.name!r}')
        self._num_axes = self._num_axes or keypoint.shape[3]
        if keypoint.shape[3] != self._num_axes:
            raise DataError(
                f'sequence {name!r} has {keypoint.shape[3]} coordinates per joint, those before '
                f'it {self._num_axes}')

    def _fault(self, keypoint: np.ndarray, label: int) -> str:
        """Why a sequence cannot be used, or an empty text."""
        if not keypoint.size:
            return 'no frames'
        if not np.isfinite(keypoint).all():
            return 'coordinates that are not finite'
        if not keypoint.any():
            return 'nobody in any frame'
        allowed = range(len(self.classes)) if self.classes else range(-1, 0)
        if label not in allowed:
            return f'label outside {allowed.start} to {allowed.stop - 1}'
        return ''

    def finish(self, splits: Mapping[str, Sequence[str] | np.ndarray] | None = None,
               columns: Mapping[str, Sequence[Any]] | None = None) -> SkeletonArchive:
        """Writes index and metadata, renames the folder to its final name and opens it.

        Args:
            splits: Name to ``train``, ``test`` or ``''`` per sequence. One value for **every**
                sequence given to :meth:`add`, those left out included.
            columns: Further columns, counted in the same way.

        Raises:
            DataError: No sequence is left, or a split is not valid.
        """
        kept = np.array(self._kept, dtype=bool)
        self._report_excluded()
        if not kept.any():
            raise DataError(
                f'{self.dst}: none of {len(kept)} sequences can be used, nothing written')
        index = {name: np.asarray(values) for name, values in self._columns.items()}
        index.update({name: np.asarray(values)[kept] for name, values in (columns or {}).items()})
        counts = {}
        for name, values in (splits or {}).items():
            split = as_split(values, len(kept), name)[kept]
            index[f'split_{name}'], counts[name] = split, split_counts(split)
        for name, values in index.items():
            if values.dtype.kind not in 'biufU' or values.shape != (int(kept.sum()),):
                raise DataError(
                    f'column {name!r} is {values.dtype} {values.shape}, expected one number, flag '
                    'or text per sequence')
        self._file.seek(0)
        self._file.write(npy_header((self._rows, self.layout.num_joints, self._num_axes)))
        self._file.close()
        np.savez_compressed(self._aside / INDEX, **index)
        files = {name: dict(bytes=(self._aside / name).stat().st_size,
                            sha256=file_sha256(self._aside / name)) for name in (KEYPOINTS, INDEX)}
        meta = dict(format=FORMAT, version=VERSION, sequences=int(kept.sum()),
                    classes=list(self.classes), splits=counts, **self._about,
                    excluded=self.excluded, layout=self.layout.to_dict(), files=files)
        text = json.dumps(meta, indent=1, ensure_ascii=False) + '\n'
        (self._aside / META).write_text(text, encoding='utf-8')
        self._move_into_place()
        return SkeletonArchive.open(self.dst)

    def _report_excluded(self) -> None:
        for fault, names in self.excluded.items():
            shown = ', '.join(names[:10]) + (', ...' if len(names) > 10 else '')
            print_log(
                f'{self.dst.name}: left out {len(names)} of {len(self._kept)} sequences ({fault}): '
                f'{shown}', logger='current', level=logging.WARNING)

    def _move_into_place(self) -> None:
        old = self.dst.with_name(f'.{self.dst.name}.old-{os.getpid()}')
        if self.dst.exists():
            os.replace(self.dst, old)
        os.replace(self._aside, self.dst)
        shutil.rmtree(old, ignore_errors=True)
