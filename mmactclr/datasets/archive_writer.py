"""Writes a skeleton archive sequence by sequence."""
import functools
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from mmengine.logging import print_log

from mmactclr.errors import DataError, MMActCLRError
from mmactclr.structures.layouts import Layout, get_layout

from .archive import SkeletonArchive
from .archive_format import (
    FORMAT,
    INDEX,
    KEYPOINTS,
    META,
    REQUIRED_COLUMNS,
    VERSION,
    check_destination,
    file_sha256,
    npy_header,
)
from .splits import as_split, split_counts
from .staging import Staging

Splits = Mapping[str, Sequence[str] | np.ndarray]
# columns that every index has, and words of the function that writes it
_TAKEN = {*REQUIRED_COLUMNS, 'file', 'allow_pickle'}


def _check_names(names: Iterable[str], whose: str) -> None:
    taken = sorted(_TAKEN.intersection(names))
    if taken:
        raise DataError(f'{whose} has a column {taken[0]!r}, a name that an archive needs itself; rename it, '
                        f'to source_{taken[0]} for example')


def _printable(text: str) -> str:
    """Text that UTF-8 can hold, whatever the names of files hold."""
    return text.encode('utf-8', 'backslashreplace').decode()


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
        resume: Text that stands for all there is to write and how. What was written up to the last
            :meth:`checkpoint` survives an interruption, and a writer of the same text goes on there, see
            ``resumed``. Without it an interrupted archive is begun again.

    Attributes:
        strict (bool): As given.
        resumed (int): What the last :meth:`checkpoint` of an interrupted process was told, 0 at a new start.
        excluded (dict): Reason -> names of the sequences left out.
        notes (dict): What was mended -> names of the sequences.

    Raises:
        DataError: ``dst`` exists and is not to be, or must not be, replaced, or another process writes it.
    """

    def __init__(self, dst: str | Path, layout: Layout | str, *, classes: Sequence[str] = (),
                 fps: float | None = None, unit: str = 'm', source: str = '', licence: str = '',
                 extra: Mapping[str, Any] | None = None, overwrite: bool = False,
                 strict: bool = False, resume: str | None = None) -> None:
        # '.' has no name to write beside
        self.dst = Path(dst) if Path(dst).name else Path(dst).resolve()
        self.layout = get_layout(layout)
        self.classes = tuple(str(name) for name in classes)
        self._about = dict(fps=fps, unit=unit, source=source, licence=licence,
                           extra=dict(extra or {}))
        self.strict = strict
        self._resumable, self._published = resume is not None, False
        self._columns: dict[str, list] = {name: [] for name in REQUIRED_COLUMNS}
        self._kept: list[bool] = []
        self._pending: list[dict[str, Any]] = []
        self._rows, self.resumed = 0, 0
        self._num_axes: int | None = None
        self.excluded: dict[str, list[str]] = {}
        self.notes: dict[str, list[str]] = {}
        self._staging = Staging(self.dst, resume, functools.partial(check_destination, self.dst, overwrite))
        self._open_keypoints()

    def _open_keypoints(self) -> None:
        """Starts the file of coordinates, or takes it up where the journal says that it is whole."""
        path, header = self._staging.folder / KEYPOINTS, npy_header((0, self.layout.num_joints, 0))
        entries = self._staging.replayed
        whole = len(header) + (entries[-1]['bytes'] if entries else 0)
        if entries and path.is_file() and path.stat().st_size >= whole:
            for entry in entries:
                for event in entry['events']:
                    self._record(**event)
                self.resumed, self._num_axes = entry['done'], entry['num_axes']
            self._file: IO[bytes] = path.open('r+b')
            self._file.truncate(whole)
            self._file.seek(whole)
        else:
            if entries:
                self._staging.begin_again()
            self._file = path.open('wb')
            self._file.write(header)

    def __enter__(self) -> 'ArchiveWriter':
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # bad input will be bad again; an interrupt or a full disk will not
        if self._resumable and kind is not None and not issubclass(kind, MMActCLRError):
            self._file.close()
            self._staging.release()
        else:
            self.abort()

    def abort(self) -> None:
        """Removes what was written so far; does nothing after :meth:`finish`."""
        if not self._published:
            self._file.close()
            self._staging.discard()

    def add(self, keypoint: np.ndarray, *, label: int = -1, name: str = '', notes: Sequence[str] = (),
            **columns: Any) -> bool:
        """Appends one sequence.

        Args:
            keypoint: (M, T, V, C) coordinates; persons and frames that are absent all zero.
            label: Position in ``classes``, -1 for unlabelled data.
            name: What the source calls it; a running number by default.
            notes: What was mended on the way, for ``meta['notes']``.
            **columns: One number, flag or text each (subject, camera, ...), the same ones at every
                call.

        Returns:
            Whether the sequence was kept.

        Raises:
            DataError: The shape does not fit the layout or the sequences before, the columns
                differ or have a name that is taken, or, with ``strict``, the sequence cannot be used.
        """
        name = _printable(str(name)) or f'sequence_{len(self._kept):06d}'
        _check_names(columns, f'sequence {name!r}')
        keypoint = np.asarray(keypoint)
        self._check_shape(keypoint, name)
        fault = self._fault(keypoint, int(label))
        if fault:
            self.exclude(name, fault)
            return False
        fields = dict(offset=self._rows, frames=keypoint.shape[1], persons=keypoint.shape[0],
                      label=int(label), name=name, **columns)
        if self._columns['offset'] and fields.keys() != self._columns.keys():
            raise DataError(
                f'sequence {name!r} has columns {sorted(columns)}, those before it '
                f'{sorted(self._columns.keys() - set(REQUIRED_COLUMNS))}')
        self._file.write(np.ascontiguousarray(keypoint, dtype='<f4').data)
        if self._resumable:
            # the journal holds plain numbers, and both ways must lead to the same bytes
            fields = {key: value.item() if isinstance(value, np.generic) else value
                      for key, value in fields.items()}
        self._event(name=name, fields=fields, notes=list(notes))
        return True

    def exclude(self, name: str, reason: str) -> None:
        """Leaves a sequence out; it counts as one of those given to :meth:`add`.

        Raises:
            DataError: With ``strict``.
        """
        if self.strict:
            raise DataError(f'sequence {name!r}: {reason}')
        self._event(name=_printable(name), fault=_printable(reason))

    def _event(self, **event: Any) -> None:
        self._record(**event)
        if self._resumable:
            self._pending.append(event)

    def _record(self, name: str, fields: dict[str, Any] | None = None, notes: Sequence[str] = (),
                fault: str = '') -> None:
        """Takes a sequence into the index; ``fields`` is None for one that is left out."""
        self._kept.append(fields is not None)
        if fields is None:
            self.excluded.setdefault(fault, []).append(name)
            return
        if not self._columns['offset']:
            self._columns = {field: [] for field in fields}
        for field, value in fields.items():
            self._columns[field].append(value)
        for note in notes:
            self.notes.setdefault(note, []).append(name)
        self._rows += fields['persons'] * fields['frames']

    @property
    def names(self) -> list[str]:
        """Names of the sequences kept so far."""
        return list(self._columns['name'])

    def checkpoint(self, done: int) -> None:
        """Makes everything so far survive an interruption, for a writer with ``resume``.

        Args:
            done: How far the source was read, as ``resumed`` will say.
        """
        self._file.flush()
        size = self._rows * self.layout.num_joints * (self._num_axes or 0) * 4
        self._staging.note(dict(done=done, bytes=size, num_axes=self._num_axes, events=self._pending))
        self._pending = []

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

    def finish(self, splits: Splits | Callable[[dict[str, np.ndarray]], Splits] | None = None,
               columns: Mapping[str, Sequence[Any]] | None = None) -> SkeletonArchive:
        """Writes index and metadata, renames the folder to its final name and opens it.

        Args:
            splits: Name to ``train``, ``test`` or ``''`` per sequence. One value for **every**
                sequence given to :meth:`add`, those left out included. Or a function that makes them from the
                columns of the sequences that were kept, one value for each of those.
            columns: Further columns, counted as the splits of a mapping.

        Raises:
            DataError: No sequence is left, a split is not valid, or a column has a name that is taken.
        """
        _check_names(columns or (), str(self.dst))
        twice = sorted(self._columns.keys() & set(columns or ()))
        if twice:
            raise DataError(f'{self.dst}: column {twice[0]!r} was given with the sequences, and again; leave one out')
        kept = np.array(self._kept, dtype=bool)
        self._report()
        if not kept.any():
            reasons = '; '.join(f'{fault}: {names[0]}' for fault, names in [*self.excluded.items()][:3])
            raise DataError(f'{self.dst}: none of {len(kept)} sequences can be used, nothing written'
                            + (f' ({reasons})' if reasons else ''))
        index = {name: np.asarray(values) for name, values in self._columns.items()}
        index.update({name: np.asarray(values)[kept] for name, values in (columns or {}).items()})
        if callable(splits):
            splits, chosen = splits(index), np.ones(int(kept.sum()), dtype=bool)
        else:
            chosen = kept
        counts = {}
        for name, values in (splits or {}).items():
            if f'split_{name}' in index:
                raise DataError(f'{self.dst}: split {name!r} is given as a column split_{name}, too; leave one out')
            split = as_split(values, len(chosen), name)[chosen]
            index[f'split_{name}'], counts[name] = split, split_counts(split)
        for name, values in index.items():
            if values.dtype.kind not in 'biufU' or values.shape != (int(kept.sum()),):
                raise DataError(
                    f'column {name!r} is {values.dtype} {values.shape}, expected one number, flag '
                    'or text per sequence')
        self._write_files(index, counts)
        self._staging.publish()
        self._published = True
        return SkeletonArchive.open(self.dst)

    def _write_files(self, index: dict[str, np.ndarray], counts: dict[str, dict[str, int]]) -> None:
        folder = self._staging.folder
        self._file.seek(0)
        self._file.write(npy_header((self._rows, self.layout.num_joints, self._num_axes or 0)))
        self._file.close()
        np.savez_compressed(folder / INDEX, **cast(dict[str, Any], index))
        files = {name: dict(bytes=(folder / name).stat().st_size, sha256=file_sha256(folder / name))
                 for name in (KEYPOINTS, INDEX)}
        meta = dict(format=FORMAT, version=VERSION, sequences=len(index['offset']),
                    classes=list(self.classes), splits=counts, **self._about,
                    excluded=self.excluded, notes=self.notes, layout=self.layout.to_dict(), files=files)
        text = json.dumps(meta, indent=1, ensure_ascii=False) + '\n'
        (folder / META).write_text(text, encoding='utf-8')

    def _report(self) -> None:
        for what, reasons, level in (('left out', self.excluded, logging.WARNING),
                                     ('mended', self.notes, logging.INFO)):
            for reason, names in reasons.items():
                # a damaged file is named with what is wrong in it, which the log has said already
                shown = ', '.join(name.split(': ')[0] for name in names[:10]) + (', ...' if len(names) > 10 else '')
                print_log(f'{self.dst.name}: {what} {len(names)} of {len(self._kept)} sequences ({reason}): {shown}',
                          logger='current', level=level)
