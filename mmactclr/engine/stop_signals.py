"""Signals that ask a run to stop: noted, so that the step that is being taken ends first."""
import atexit
import functools
import multiprocessing
import os
import signal
import stat
import threading
import time
from types import FrameType
from typing import Any

from mmengine.dist import is_main_process

# what `scancel`, `kill` and torchrun, a keyboard, `sbatch --signal`, and a terminal that is closed send
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
# what comes without anybody's waiting for it, and may be followed by one of the others
_WARNINGS = (signal.SIGUSR1, signal.SIGHUP)
# a launcher passes on what the terminal has sent to its processes already: within so many seconds it is one request
_ONE_REQUEST = 2.0


class StoppedRun(SystemExit):
    """A run that was asked to stop did: its checkpoint is written, the process ends without a traceback.

    Args:
        number: The signal. SIGINT ends the process with code 130, SIGHUP with 129, SIGTERM and SIGUSR1, the warning
            before a time limit, with 143.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + (signal.SIGTERM if number == signal.SIGUSR1 else number))


class StopSignals:
    """While entered, notes SIGTERM, SIGINT, SIGUSR1 and SIGHUP instead of dying of them; the main process says so.

    A second SIGTERM or SIGINT, two seconds or more after the first, ends the process at once; one that follows SIGUSR1
    or SIGHUP does not, as a cluster sends both. SIGHUP that is ignored, as under ``nohup``, stays so. In threads other
    than the main one nothing is noted.

    Attributes:
        number: The first signal that came, 0 if none did.
    """

    def __init__(self) -> None:
        self.number = 0
        self._since: float | None = None
        self._speaks = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> 'StopSignals':
        if threading.current_thread() is threading.main_thread():
            self._speaks = is_main_process()
            self._before = {number: signal.signal(number, self._note) for number in STOPPING
                            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: set by something that is not Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        first, self.number = not self.number, self.number or number
        if number == signal.SIGHUP:
            _leave_terminal()
        if first and self._speaks:
            # a step or a validation may take long: who hears nothing asks again, and that would end the saving
            again = '' if number in _WARNINGS else '; once more, in two seconds or later, to end at once'
            _say(f'{signal.Signals(number).name}: the step or validation that runs ends first, then a checkpoint is '
                 f'written{again}')
        if number in _WARNINGS:
            return
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since >= _ONE_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _say(line: str) -> None:
    """Write a line to the terminal, whatever else is being written."""
    try:
        # a progress bar has not ended its line; Python's stream may be in the middle of a write and cannot be entered
        os.write(2, f'{chr(10) if os.isatty(2) else ""}{line}{chr(10)}'.encode())
    except OSError:
        # nobody reads it
        pass


def _leave_terminal() -> None:
    """Let what is still printed go nowhere: writing to a terminal that is closed fails, and would fail the saving."""
    for descriptor in (1, 2):
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                continue
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        except OSError:
            # closed already
            pass


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
