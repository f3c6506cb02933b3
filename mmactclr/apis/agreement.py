"""Processes of a run that begin at the same place, or not at all."""
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmengine.dist import all_gather_object, get_rank, get_world_size

from mmactclr.errors import ConfigError, MMActCLRError


class _Answer(NamedTuple):
    """What a process found."""

    #: Why it cannot begin, empty if it can.
    error: str = ''
    #: File that it would go on from, empty where it would begin anew.
    path: str = ''
    #: Checksum of that file.
    checksum: str = ''

    def same_as(self, other: '_Answer') -> bool:
        """Whether both begin at the same place; folders may have other names on other machines."""
        return (self.error, Path(self.path).name, self.checksum) == (other.error, Path(other.path).name, other.checksum)

    def __str__(self) -> str:
        if self.error:
            return f'cannot begin: {self.error}'
        return f'from {self.path} (sha256 {self.checksum[:12]})' if self.path else 'from the beginning, no checkpoint'


def begin_together(choose: Callable[[], str | Path | None], work_dir: str | Path) -> str | Path | None:
    """Let every process choose the checkpoint that it begins with; all of them have to call this.

    An exchange between processes at different places of a run waits for hours. So does one with a process
    that an error has ended, and therefore errors are exchanged before they are raised.

    Args:
        choose: What finds and checks the checkpoint of this process; None: no checkpoint.
        work_dir: Folder of the run, for the message.

    Returns:
        What ``choose`` returned.

    Raises:
        ConfigError: In every process, if they found different checkpoints, or not all of them could choose.
        Exception: That of ``choose``, if it is the same in all processes or an error of the program.
    """
    if get_world_size() == 1:
        return choose()
    found, failure = None, None
    try:
        found = choose()
        answer = _Answer('', str(found), _checksum(found)) if found else _Answer()
    except Exception as error:
        failure, answer = error, _Answer(' '.join(str(error).split()) or type(error).__name__)
    answers: list[_Answer] = all_gather_object(answer)
    if all(answer.same_as(other) for other in answers):
        if failure is not None:
            raise failure
        return found
    if failure is not None and not isinstance(failure, (MMActCLRError, OSError)):
        # the traceback says more
        raise failure
    groups: list[tuple[_Answer, list[int]]] = []
    for rank, other in enumerate(answers):
        group = next((ranks for first, ranks in groups if first.same_as(other)), None)
        if group is None:
            groups.append((other, [rank]))
        else:
            group.append(rank)
    raise ConfigError(
        f'process {get_rank()} of {len(answers)} (counted from 0) stops, as the processes of this run would not begin '
        'at the same place: ' + '; '.join(f'{_name(ranks)}: {other}' for other, ranks in groups)
        + f'. Work dir {str(work_dir)!r} and checkpoints have to lie on a disk that all processes share; where they '
          'do, the disk may lag: start again. Nothing was trained') from failure


def _checksum(path: str | Path) -> str:
    with open(path, 'rb') as file:
        found = hashlib.sha256()
        while block := file.read(1 << 20):
            found.update(block)
        return found.hexdigest()


def _name(ranks: list[int]) -> str:
    return f'process{"es" if len(ranks) > 1 else ""} {", ".join(map(str, ranks))}'
