"""One training at a time writes into a folder."""
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmactclr.errors import RunError

try:
    import fcntl
except ImportError:  # pragma: no cover  (Windows)
    fcntl = None  # type: ignore[assignment]

# seconds that worker processes may outlive a run that was killed; they hold its claim
PATIENCE = 10.
_PAUSE = .2


@contextmanager
def claimed(folder: str | Path, patience: float | None = None) -> Iterator[None]:
    """Keep a folder from other trainings of this machine as long as the context lasts.

    The claim is a lock of the folder itself: no file is left behind, and it ends with the process however that ends.
    Where the file system has no locks there is none.

    Args:
        folder: Folder of the run, which exists.
        patience: Seconds to wait for a claim that ends; None: :data:`PATIENCE`.

    Raises:
        RunError: Another process, or this one, trains into the folder.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, Path(folder), time.monotonic() + (PATIENCE if patience is None else patience))
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise RunError(f'another training writes into {str(folder)!r}: wait for it, stop it, or take another '
                               '--work-dir. Nothing was trained') from error
        except OSError:
            # network disks of some kinds
            return
        time.sleep(_PAUSE)
