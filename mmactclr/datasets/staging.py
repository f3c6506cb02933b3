"""Where an archive lies until it is complete, and what is needed to go on after an interruption.

``DST/../.NAME.partial/`` holds ``archive/`` (the files so far), ``journal.jsonl`` and ``lock``. The first line of the
journal says what is being written; every further one what was added since the line before and the length of
``keypoints.npy`` by then. A process that dies leaves at worst half a line and rows that no line vouches for.
"""
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from mmengine.logging import print_log

from mmactclr.errors import DataError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes that write one archive are not told apart
    fcntl = None  # type: ignore[assignment]

JOURNAL, LOCK, ARCHIVE = 'journal.jsonl', 'lock', 'archive'


def _replaced(dst: Path) -> Path:
    return dst.with_name(f'.{dst.name}.old')


def _restore(dst: Path) -> None:
    """Undoes the replacement of an archive that was interrupted between its two renames."""
    old = _replaced(dst)
    if old.is_dir():
        if dst.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(old, dst)


class Staging:
    """The folder beside an archive in which it is written; one process at a time.

    Args:
        dst: Archive folder to create.
        key: What is being written, in a form that differs when the outcome would; None for an archive that cannot be
            gone on with.
        check: Raises where the destination must not be written; called when nobody else can.

    Attributes:
        folder (Path): Where the files of the archive are written.
        replayed (list[dict]): What the journal of an interrupted process with the same key says, oldest first.

    Raises:
        DataError: Another process is writing this archive, or the folder cannot be written.
    """

    def __init__(self, dst: Path, key: str | None, check: Callable[[], None]) -> None:
        self._dst, self._key = dst, key
        self._journal: IO[str] | None = None
        self._root = dst.with_name(f'.{dst.name}.partial')
        self.folder = self._root / ARCHIVE
        is_new = not self._root.exists()
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
        except OSError as error:
            raise DataError(f'{dst} cannot be written ({error}): choose another destination') from error
        try:
            _restore(dst)
            check()
        except BaseException:
            if is_new:
                self.discard()
            else:
                self.release()
            raise
        self.replayed = self._read_journal()
        if not self.replayed:
            shutil.rmtree(self.folder, ignore_errors=True)
            (self._root / JOURNAL).unlink(missing_ok=True)
        self.folder.mkdir(exist_ok=True)
        if key is not None:
            self._journal = self._open_journal()

    def _take_lock(self) -> IO[str]:
        lock = (self._root / LOCK).open('w')
        try:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise DataError(f'{self._dst} is being written by another process: wait for it or choose another '
                            'destination') from error
        return lock

    def _read_journal(self) -> list[dict[str, Any]]:
        """Entries of the journal after its first line; none where there is no journal of this key."""
        journal = self._root / JOURNAL
        if not journal.is_file() or not self.folder.is_dir():
            return []
        lines = journal.read_bytes().split(b'\n')[:-1]  # what follows the last line break was not finished
        try:
            first, *entries = map(json.loads, lines)
        except ValueError:
            return []
        if first != self._key:
            print_log(f'an interrupted conversion to {self._dst} had other options or other files: starting again',
                      logger='current')
            return []
        self._journal_bytes = sum(len(line) + 1 for line in lines)
        return entries

    def _open_journal(self) -> IO[str]:
        path = self._root / JOURNAL
        if self.replayed:
            os.truncate(path, self._journal_bytes)
        journal = path.open('a', encoding='utf-8')
        if not self.replayed:
            self._write(journal, self._key)
        return journal

    @staticmethod
    def _write(journal: IO[str], entry: Any) -> None:
        journal.write(json.dumps(entry) + '\n')
        journal.flush()

    def begin_again(self) -> None:
        """Forgets what an interrupted process had written."""
        self.replayed = []
        if self._journal is not None:
            self._journal.close()
        (self._root / JOURNAL).unlink()
        self._journal = self._open_journal()

    def note(self, entry: dict[str, Any]) -> None:
        """Appends an entry to the journal; what it vouches for must have been written before."""
        if self._journal is None:
            raise DataError(f'{self._dst}: nothing is noted of what is written without a key')
        self._write(self._journal, entry)

    def publish(self) -> None:
        """Moves the finished files to their final name, in place of an archive that is there."""
        if self._dst.exists():
            os.replace(self._dst, _replaced(self._dst))
        os.replace(self.folder, self._dst)
        shutil.rmtree(_replaced(self._dst), ignore_errors=True)
        self.discard()

    def release(self) -> None:
        """Lets go of the folder and leaves it for a process that goes on."""
        if self._journal is not None:
            self._journal.close()
        self._lock.close()

    def discard(self) -> None:
        """Removes the folder."""
        if fcntl is None:
            self.release()
        # while it is locked, so that nobody else's goes
        shutil.rmtree(self._root, ignore_errors=True)
        self.release()
