"""What an error message says of the checkpoints of a run."""
from pathlib import Path

from mmactclr.errors import MMActCLRError

from .newest import find_newest


def newest_text(work_dir: str | Path) -> str:
    """Which checkpoint of a work dir is the newest that is whole, in words; never raises for what lies there."""
    try:
        path = find_newest(work_dir)
    except (MMActCLRError, OSError) as error:
        return f'its checkpoints cannot be read ({error})'
    return f'the last good checkpoint is {path}' if path else 'it has written no checkpoint yet'
