"""Ends a process whose peers are gone."""
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.engine.checkpoints.last_good import newest_text
from mmactclr.errors import ConfigError
from mmactclr.registry import HOOKS

#: Exit code of a process that was ended because others were gone.
LOST_PEER = 75
# what a process that is done says instead of a number
_DONE = b'done'
# seconds that the main thread has to say by itself what it lost
_GRACE = 3.0
# seconds for reading the checkpoints, and for writing the last line: on a disk that hangs both may take for ever
_LAST_WORDS = 5.0


class PeerWatch(threading.Thread):
    """A thread that tells the other processes of a run that this one lives, and notices when one no longer does.

    An exchange between processes waits for hours if one of them hangs, or if its machine lost power, since it may
    rightly take that long: one process scores the features of a whole data set while the others wait. Whether a process
    lives is known much sooner. Each counts in the store that the group was formed with; who sees that another has not
    counted for ``patience`` seconds, or can no longer reach the store, ends its process, the main thread of which
    waits in an exchange and cannot be woken. A process that was stopped itself, as a job that is suspended, begins to
    wait for the others anew: they were stopped as well, and may be woken later.

    Args:
        work_dir: Folder of the run, for the message.
        patience: Seconds without a sign of life.
        interval: Seconds between signs.
    """

    def __init__(self, work_dir: str, patience: float, interval: float) -> None:
        super().__init__(name='peer-watch', daemon=True)
        self.work_dir, self.patience, self.interval = work_dir, patience, interval
        self.rank, self.size = get_rank(), get_world_size()
        # a copy of its own: the group's may be waiting in the main thread
        self._store: Any = cast(Any, torch.distributed.distributed_c10d._get_default_store()).clone()
        self._stop_now = threading.Event()
        self._seen: dict[int, tuple[bytes, float]] = {}
        self._done: set[int] = set()
        self._beat = 0
        # when this process looks next, if nothing stops it
        self._due = time.monotonic()

    def stop(self) -> None:
        """Tell the others that this process is done, and end the thread."""
        self._stop_now.set()
        self.join(timeout=2 * self.interval)

        def tell() -> None:
            # whoever kept the store may be done already
            with suppress(Exception):
                self._store.set(self._key(self.rank), _DONE)

        _attempt(tell)

    def run(self) -> None:
        """Count and look, until told to stop."""
        while not self._stop_now.is_set():
            if self._check(self.patience):
                # an exchange that noticed it too ends the process with more to say, a run that is done with nothing
                if self._wait(_GRACE) or not torch.distributed.is_initialized():
                    self._stop_now.set()
                    return
                lost = self._check(_GRACE)
                if lost:
                    self._give_up(lost)
            self._wait(self.interval)

    def _wait(self, seconds: float) -> bool:
        """Wait; whether the thread is told to stop."""
        self._due += seconds
        return self._stop_now.wait(seconds)

    def _check(self, limit: float) -> str:
        """Count, and say who is lost, the store after ``limit`` seconds without an answer; empty if nobody is."""
        now = time.monotonic()
        if now - self._due > 2 * self.interval:
            # this process did not run meanwhile, so that it cannot tell who else did
            self._seen.clear()
        self._due = now
        answers: list[str] = []
        # the store has no time limit of its own: where the process that keeps it hangs, so does who asks it
        asking = threading.Thread(target=lambda: answers.append(self._ask(now)), daemon=True)
        asking.start()
        waited = 0.
        while asking.is_alive() and waited < limit:
            before = time.monotonic()
            asking.join(self.interval)
            took = time.monotonic() - before
            waited = waited + took if took < 3 * self.interval else 0.
        return answers[0] if answers else 'the process that keeps the store of the run no longer answers'

    def _ask(self, now: float) -> str:
        """Count in the store, and look there for the others."""
        try:
            self._store.set(self._key(self.rank), str(self._beat).encode())
            self._beat += 1
            return self._look(now)
        except Exception as error:  # the store answers with errors of many types
            return f'the process that keeps the store of the run cannot be reached ({type(error).__name__})'

    def _look(self, now: float) -> str:
        """Who has not counted for too long; empty if all have."""
        for rank in set(range(self.size)) - {self.rank} - self._done:
            key = self._key(rank)
            value = self._store.get(key) if self._store.check([key]) else b''
            before, since = self._seen.setdefault(rank, (value, now))
            if value == _DONE:
                self._done.add(rank)
            elif value != before:
                self._seen[rank] = value, now
            elif now - since > self.patience:
                return f'process {rank} has given no sign of life for {now - since:.0f} seconds'
        return ''

    def _give_up(self, lost: str) -> None:
        found = [f'its checkpoints could not be read within {_LAST_WORDS:.0f} seconds']

        def read() -> None:
            found[0] = newest_text(self.work_dir)

        def say() -> None:
            print(f'error: process {self.rank} of {self.size} (counted from 0) stops: {lost}. {self.work_dir!r}: '
                  f'{found[0]}; start all processes again with --resume', file=sys.stderr, flush=True)

        for words in (read, say):
            _attempt(words)
        os._exit(LOST_PEER)

    @staticmethod
    def _key(rank: int) -> str:
        return f'mmactclr/alive/{rank}'


def _attempt(task: Callable[[], None]) -> None:
    """Do something that may hang, for as long as there is time."""
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    thread.join(_LAST_WORDS)


@HOOKS.register_module()
class PeerWatchHook(Hook):
    """Ends a process of a distributed run within a minute after another one was lost; see :class:`PeerWatch`.

    torchrun does that for processes that it started. ``srun`` and ``mpirun`` may not, and nobody does where a process
    hangs. Does nothing in a run of one process.

    Args:
        patience: Seconds without a sign of life after which a process counts as lost.
        interval: Seconds between signs.

    Raises:
        ConfigError: If they are not positive, or a process has less than three chances to give a sign.
    """

    priority = 'HIGHEST'

    def __init__(self, patience: float = 45.0, interval: float = 5.0) -> None:
        if interval <= 0 or patience < 3 * interval:
            raise ConfigError(f'PeerWatchHook: patience is {patience} and interval {interval}, expected a positive '
                              'interval and a patience of at least three of them')
        self.patience, self.interval = patience, interval
        self._watch: PeerWatch | None = None

    def before_run(self, runner: Runner) -> None:
        """Begin to watch."""
        if get_world_size() > 1:
            self._watch = PeerWatch(str(runner.work_dir), self.patience, self.interval)
            self._watch.start()

    def after_run(self, runner: Runner) -> None:
        """Tell the others that this process is done."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
