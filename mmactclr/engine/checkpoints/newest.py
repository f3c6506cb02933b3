"""Finding the checkpoint that an interrupted run goes on from."""
import logging
import os
import re
import socket
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log

from mmactclr.errors import DataError

from .reading import check_packing, check_zip

# name of the file that holds the path of the newest checkpoint
LAST = 'last_checkpoint'
# files that are being written: `.NAME.partial-HOST-PID`, before that `.NAME.partial-PID`
_ASIDE = re.compile(r'\..+\.partial-(?:(.*)-)?(\d+)')
# bytes of a path, with room to spare
_LONGEST_PATH = 8192
# seconds since 1970 that no clock shows: it is the year 33658
_LATEST = 10 ** 12
# seconds after which nobody can still be writing one
_ABANDONED = 3600


class Progress(NamedTuple):
    """Where a checkpoint stands; the larger one is newer.

    Attributes:
        session: When the process that wrote it was started, in seconds since 1970; 0 where a file does not say. A
            run that goes on from an older file, or starts anew in a used folder, is newer than what lies there.
        epoch: Epochs that are finished.
        iter: Steps that are taken.
    """

    session: float
    epoch: int
    iter: int


def aside_of(path: Path) -> Path:
    """Where a file is written before it gets its name: in the same folder, hidden, with machine and process."""
    return path.with_name(f'.{path.name}.partial-{_host()}-{os.getpid()}')


def find_newest(work_dir: str | Path) -> Path | None:
    """The newest whole checkpoint of a work dir that a run can go on from, None if there is no checkpoint.

    Newest by :class:`Progress`, not by the time of the file, which copies lose. Whole means that every byte has the
    checksum that it was written with and that the file is read without executing anything. A damaged file is
    left out with a warning that names it. Files of weights alone do not count. Nothing in the folder is changed.

    Raises:
        DataError: If there are checkpoints and all of them are damaged, or there is none but ``last_checkpoint`` says
            that there was.
    """
    work_dir = Path(work_dir)
    if not work_dir.is_dir():
        return None
    found: list[tuple[Progress, Path]] = []
    damaged: dict[str, str] = {}
    for path in sorted(work_dir.glob('*.pth')):
        try:
            progress = _read_progress(path)
        except _Damaged as error:
            damaged[path.name] = str(error)
            continue
        if progress is not None:
            found.append((progress, path))
    newest = None
    for _, path in sorted(found, reverse=True):
        reason = find_damage(path)
        if reason is None:
            newest = path
            break
        damaged[path.name] = reason
    for name, reason in damaged.items():
        print_log(f'checkpoint {str(work_dir / name)!r} is damaged and left out: {reason}', logger='current',
                  level=logging.WARNING)
    if newest is None and damaged:
        raise DataError(
            f'{str(work_dir)!r}: all checkpoints to go on from are damaged ('
            + '; '.join(f'{name}: {reason}' for name, reason in damaged.items())
            + '); put an intact copy there, or remove these files (or take another --work-dir) to start anew')
    return newest or _elsewhere(work_dir)


def progress_of(checkpoint: Mapping[str, Any]) -> Progress | None:
    """Where a checkpoint stands, None if it holds no more than weights."""
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping) or not all(isinstance(checkpoint.get(key), Mapping)
                                                for key in ('message_hub', 'optimizer')):
        return None
    values: list[Any] = [meta.get(name) for name in ('epoch', 'iter')]
    if not all(type(value) is int and value >= 0 for value in values):
        return None
    session = meta.get('session', 0.0)
    return Progress(float(session) if is_session(session) else 0.0, *values)


def is_session(value: Any) -> bool:
    """Whether a value can be the time at which a process was started, in seconds since 1970."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LATEST


def find_damage(path: str | Path) -> str | None:
    """What is wrong with a file that should be a whole checkpoint, None if nothing is."""
    try:
        check_zip(Path(path))
    except DataError as error:
        return str(error)
    except Exception as error:  # zipfile, zlib and struct have errors of their own
        return f'it was cut short or is no checkpoint ({type(error).__name__}: {error})'
    return None


def remove_leftovers(folder: Path) -> None:
    """Remove files that processes which no longer run left half-written.

    Only of this machine it is known which processes run; what another one writes goes once it is an hour old. For one
    process of a run, when it starts.
    """
    for path in folder.iterdir():
        match = _ASIDE.fullmatch(path.name)
        if match is None or _is_writing(path, match[1], int(match[2])):
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            print_log(f'{str(path)!r}, left by an interrupted process, cannot be removed ({error.strerror})',
                      logger='current', level=logging.WARNING)
            continue
        print_log(f'removed {path.name}, which an interrupted process left half-written', logger='current')


def _host() -> str:
    """Name of this machine, of characters that a file name may have."""
    return re.sub(r'[^0-9A-Za-z.-]', '_', socket.gethostname())[:64]


def _is_writing(path: Path, host: str | None, pid: int) -> bool:
    """Whether the file is young and a process with that number runs, or may run where it cannot be seen."""
    try:
        if time.time() - path.stat().st_mtime > _ABANDONED:
            return False
    except OSError:
        return False
    if host != _host():
        return True
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _elsewhere(work_dir: Path) -> Path | None:
    """The file that ``last_checkpoint`` names, where a work dir holds no checkpoints: they are what a run had done.

    Raises:
        DataError: If it is not there, or not whole.
    """
    note = work_dir / LAST
    if not note.is_file():
        return None
    named = b''
    try:
        with note.open('rb') as file:
            named = file.read(_LONGEST_PATH)
        path = Path(named.decode().strip())
        reason = find_damage(path) if path.is_file() else 'does not exist'
    except (OSError, ValueError) as error:  # no text, or too long for a path
        path, reason = None, f'is no path ({getattr(error, "strerror", None) or type(error).__name__})'
    if reason:
        shown = ascii(str(path)) if path is not None else ascii(named[:80])
        raise DataError(f'{str(work_dir)!r} holds no checkpoint to go on from, and {shown} {reason}, which its '
                        f'{LAST} names; put a checkpoint there or name it: --resume FILE. To start anew remove {LAST}')
    return path


class _Damaged(Exception):
    """A file that cannot be read."""


def _read_progress(path: Path) -> Progress | None:
    """Progress of a file, of which only the index is read."""
    try:
        check_packing(path)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            checkpoint = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except Exception as error:  # the restricted unpickler raises whatever the bytes make it do
        reason = find_damage(path) or f'it holds what is never executed, or no checkpoint ({type(error).__name__})'
        raise _Damaged(reason) from error
    return progress_of(checkpoint) if isinstance(checkpoint, Mapping) else None
