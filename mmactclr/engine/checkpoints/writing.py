"""Files that are whole or not there, whatever happens while they are written."""
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mmactclr.errors import RunError

from .newest import aside_of


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written aside, bring it to the disk and give it its name.

    Args:
        path: The file; one that is there is replaced.
        write: Writes to the path that it is given, in the same folder.

    Raises:
        RunError: If it cannot be written; what was there before stays, nothing half-written does.
    """
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        with aside.open('rb+') as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(
            f'{path} cannot be written ({error.strerror or error}); the run ends here, the checkpoints written before '
            'stay. Free space or make the folder writable (df -h, ls -ld), then give the same command with --resume'
            ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk too, where the file system can."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)
