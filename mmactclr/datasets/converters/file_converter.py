"""Converters of many independent files: read in parallel, in bounded memory, resumable."""
import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter, Splits
from mmactclr.datasets.splits import usable_splits
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures.layouts import Layout, get_layout
from mmactclr.version import __version__

from .base import BaseConverter
from .source_files import SourceFile, close_zips

# Files that one process reads at a go; what an interrupted conversion may have to read again.
_BATCH = 32
# Damaged files that the log names one by one; meta.json names all.
_SHOWN = 20
DAMAGED = 'the file is damaged'


@dataclass(frozen=True)
class Clip:
    """One sequence as a converter read it.

    Attributes:
        keypoint: (M, T, V, C) coordinates, absent persons and frames zero.
        name: What the source calls it.
        label: Position in the classes, -1 for none.
        columns: Further fields (subject, camera, ...), the same for every clip of a source.
        notes: What was mended, such as ``'fewer frames than its header says'``.
    """

    keypoint: np.ndarray
    name: str
    label: int = -1
    columns: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Recordings:
    """What a converter found at a source, and how it is read.

    Attributes:
        files: Files in the order of the archive.
        read: Function of the package (or a ``partial`` of one, so that worker processes can have it) from one file to
            its clips; a :class:`DataError` leaves the file out.
        layout: Joints of all clips.
        classes: Class names, empty for unlabelled data.
        splits: Makes the splits from the columns of the clips that were kept (``name``, ``label`` and those of the
            clips, each (N,)). What it puts into that dict, or takes out, is a change of the archive's columns.
        about: ``fps``, ``unit``, ``source``, ``licence`` and ``extra`` of :class:`ArchiveWriter`.
        excluded: Reason -> names of what is left out unread, such as a list of faulty recordings.
    """

    files: Sequence[SourceFile]
    read: Callable[[Any], Iterable[Clip]]
    layout: Layout | str
    classes: Sequence[str] = ()
    splits: Callable[[dict[str, np.ndarray]], Splits] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    excluded: Mapping[str, Sequence[str]] = field(default_factory=dict)


class FileConverter(BaseConverter):
    """Converter of a source that consists of many files which are read one by one.

    A subclass says in :meth:`find` what there is to read. Reading runs in ``workers`` processes; files that are damaged
    are left out and named, with the line, in the log and in ``meta['excluded']``. After an interruption (even
    ``kill -9``) the same call goes on where it was and gives the same bytes.

    Example:
        >>> def read_csv(file):
        ...     return [Clip(parse(file.read()), file.stem, label=CLASSES.index(file.folders[-1]))]
        >>> @CONVERTERS.register_module('mine')
        ... class MyConverter(FileConverter):
        ...     '''My motion capture files.'''
        ...     def find(self, src):
        ...         return Recordings(find_files(src, '*.csv'), read_csv, 'ntu25', CLASSES)
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds ``--workers``; a subclass with options of its own calls this too."""
        parser.add_argument('--workers', type=int, metavar='N', help='processes that read; default: one a core')

    @abstractmethod
    def find(self, src: Path, *args: Any, **options: Any) -> Recordings:
        """Looks for the files of a source; reads none of the recordings.

        Args:
            src: File or folder.
            **options: Values of the arguments of :meth:`add_arguments`.

        Raises:
            DataError: There is nothing to read.
            ConfigError: The options do not fit the source.
        """

    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False, strict: bool = False,
                workers: int | None = None, **options: Any) -> SkeletonArchive:
        """Converts a source.

        Args:
            src: File or folder.
            dst: Archive folder to create.
            overwrite: Replace an archive at ``dst``.
            strict: Stop at the first file that is damaged or cannot be used, instead of leaving it out.
            workers: Processes that read; as many as there are cores by default.
            **options: Those of the format.

        Raises:
            DataError: Nothing can be used, or ``dst`` must not be replaced.
            ConfigError: The options do not fit the source.
        """
        if workers is not None and workers < 1:
            raise ConfigError(f'--workers {workers}: expected 1 or more')
        found = self.find(Path(src), **options)
        key = _fingerprint(type(self).__name__, strict, options, found)
        with ArchiveWriter(dst, found.layout, classes=found.classes, overwrite=overwrite, strict=strict, resume=key,
                           **found.about) as writer:
            if writer.resumed:
                print_log(f'{dst}: going on after {writer.resumed} of {len(found.files)} files', logger='current')
            else:
                for reason, names in found.excluded.items():
                    for name in names:
                        writer.exclude(name, reason)
            self._write(writer, found, workers)
            splits = found.splits
            return writer.finish(splits and (lambda columns: usable_splits(splits(columns))))

    def _write(self, writer: ArchiveWriter, found: Recordings, workers: int | None) -> None:
        names, damaged = set(writer.names), 0
        start = writer.resumed
        todo = found.files[start:]
        batches = [todo[i:i + _BATCH] for i in range(0, len(todo), _BATCH)]
        with _readers(found.read, batches, workers) as results:
            for batch, outcomes in zip(self.track(batches, f'converting {len(todo)} files', _BATCH), results,
                                       strict=True):
                for file, outcome in zip(batch, outcomes, strict=True):
                    if isinstance(outcome, str):
                        damaged += 1
                        if damaged <= _SHOWN:
                            print_log(f'left out: {outcome}', logger='current', level=logging.WARNING)
                        writer.exclude(outcome if writer.strict else f'{file.name}: {outcome}', DAMAGED)
                        continue
                    for clip in outcome:
                        if clip.name in names:
                            writer.exclude(clip.name, f'another file has the same name ({file})')
                            continue
                        if writer.add(clip.keypoint, label=clip.label, name=clip.name, notes=clip.notes,
                                      **clip.columns):
                            names.add(clip.name)
                start += len(batch)
                writer.checkpoint(start)


def _fingerprint(converter: str, strict: bool, options: Mapping[str, Any], found: Recordings) -> str:
    """Text that differs when another archive would come out."""
    files = [(str(file), file.size, file.stamp) for file in found.files]
    layout = get_layout(found.layout).to_dict()
    # what the reader knows besides the file, such as labels from a table
    known = sorted(getattr(found.read, 'keywords', {}).items())
    parts = [converter, __version__, strict, sorted(options.items()), files, list(found.classes), layout, known]
    text = json.dumps(parts, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


# The function of a worker process that reads a file; given once, as it may know of all files.
_read_in_worker: Callable[[SourceFile], Iterable[Clip]]


def _read_batch_in_worker(batch: Sequence[SourceFile]) -> list[list[Clip] | str]:
    return _read_batch(_read_in_worker, batch)


def _read_batch(read: Callable[[SourceFile], Iterable[Clip]], batch: Sequence[SourceFile]) -> list[list[Clip] | str]:
    """Clips of every file, or what is wrong with it."""
    outcomes: list[list[Clip] | str] = []
    for file in batch:
        try:
            outcomes.append(list(read(file)))
        except DataError as error:
            outcomes.append(' '.join(str(error).split()))
    return outcomes


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _start_worker(parent: int, read: Callable[[SourceFile], Iterable[Clip]]) -> None:
    """Leaves interrupts to the parent, and ends the worker when the parent was killed: nobody else would."""
    global _read_in_worker
    _read_in_worker = read
    # a handle that was open before the fork shares its position with all other processes
    close_zips()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _readers(read: Callable[[SourceFile], Iterable[Clip]], batches: Sequence[Sequence[SourceFile]],
             workers: int | None) -> Iterator[Iterator[list[list[Clip] | str]]]:
    """Outcomes of every batch in order, at most a few batches ahead of the one in hand."""
    workers = min(_available_cores() if workers is None else workers, len(batches))
    if workers <= 1:
        yield (_read_batch(read, batch) for batch in batches)
        return
    # a fork has everything imported; elsewhere a worker imports for itself
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(os.getpid(), read))

    def results() -> Iterator[list[list[Clip] | str]]:
        waiting: deque = deque()
        left = iter(batches)
        try:
            while True:
                while len(waiting) <= 2 * workers and (batch := next(left, None)) is not None:
                    waiting.append(pool.submit(_read_batch_in_worker, batch))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise OSError('a process that read files was killed, perhaps for lack of memory: run the same command '
                          'again to go on, with fewer --workers') from error

    try:
        yield results()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
