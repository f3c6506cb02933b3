"""Signals that ask a run to stop: noted, so that the step that is being taken ends first."""
import atexit
import functools
import multiprocessing
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

# what `scancel`, `kill` and torchrun, a keyboard, and `sbatch --signal` send
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# a launcher passes on what the terminal has sent to its processes already: within so many seconds it is one request
_ONE_REQUEST = 2.0


class StoppedRun(SystemExit):
    """A run that was asked to stop did: its checkpoint is written, the process ends without a traceback.

    Args:
        number: The signal. SIGINT ends the process with code 130, SIGTERM and SIGUSR1, the warning before a time
            limit, with 143.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM))


class StopSignals:
    """While entered, notes SIGTERM, SIGINT and SIGUSR1 instead of dying of them.

    A second SIGTERM or SIGINT, two seconds or more after the first, ends the process at once; one that follows SIGUSR1
    does not, as a cluster sends both. In threads other than the main one nothing is noted.

    Attributes:
        number: The first signal that came, 0 if none did.
    """

    def __init__(self) -> None:
        self.number = 0
        self._since: float | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> 'StopSignals':
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: set by something that is not Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if number == signal.SIGUSR1:
            return
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since >= _ONE_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def ignore_stopping() -> None:
    """Leave stopping to the parent: a cluster signals the loader's workers too, and their data are still needed."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@functools.cache
def end_workers_at_exit() -> None:
    """Kill loader workers when the process ends; Python would ask with SIGTERM, which they ignore, and wait for ever.

    Workers are there at the end where an error, or whoever keeps the runner, holds on to their loader.
    """
    # after Python's own, so that it runs before
    atexit.register(_kill_workers)


def _kill_workers() -> None:
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
