"""When a process counts as lost: not for time in which the watching one was stopped itself. The clock is made up."""
import threading
import time
from collections.abc import Callable

import pytest

from mmactclr.engine.hooks import peer_watch_hook
from mmactclr.engine.hooks.peer_watch_hook import LOST_PEER, PeerWatch

PATIENCE, INTERVAL = 45., 5.


class Ended(BaseException):
    """The process would have ended."""


class World:
    """A store, a clock, and another process that counts every five seconds while ``awake`` says so.

    Attributes:
        pauses: Seconds that the watching process is stopped while it waits, by the time at which it began to.
    """

    def __init__(self) -> None:
        self.now, self.values, self.pauses = 0., {}, {}
        self.awake: Callable[[float], bool] = lambda now: True
        self.end = 300.

    def clone(self) -> 'World':
        return self

    def set(self, key, value) -> None:
        self.values[key] = value

    def check(self, keys) -> bool:
        return all(self._value(key) is not None for key in keys)

    def get(self, key) -> bytes:
        return self._value(key)

    def _value(self, key):
        if not key.endswith('/1'):
            return self.values.get(key)
        beats = [beat for beat in range(0, int(self.now) + 1, int(INTERVAL)) if self.awake(beat)]
        return str(beats[-1]).encode() if beats else None

    def wait(self, seconds: float) -> bool:
        """Stands for the event that ends the thread."""
        self.now += seconds + self.pauses.pop(self.now, 0.)
        return self.is_set()

    def is_set(self) -> bool:
        return self.now > self.end


@pytest.fixture
def world(monkeypatch) -> World:
    """Two processes, of which this one has rank 0."""
    world = World()
    monkeypatch.setattr(peer_watch_hook, 'get_rank', lambda: 0)
    monkeypatch.setattr(peer_watch_hook, 'get_world_size', lambda: 2)
    monkeypatch.setattr(peer_watch_hook.torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(peer_watch_hook.torch.distributed.distributed_c10d, '_get_default_store', lambda: world)
    monkeypatch.setattr(peer_watch_hook.time, 'monotonic', lambda: world.now)

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(peer_watch_hook.os, '_exit', end)
    return world


def watch(world: World, folder) -> float | None:
    """Seconds until the watching process ends itself; None if it does not."""
    thread = PeerWatch(str(folder), PATIENCE, INTERVAL)
    thread._stop_now = world
    try:
        thread.run()
    except Ended as ended:
        assert ended.args == (LOST_PEER,)
        return world.now
    return None


def test_a_process_that_counts_no_more_is_lost_after_the_patience(world, tmp_path, capsys):
    world.awake = lambda now: now <= 100
    assert 145 < watch(world, tmp_path) <= 145 + 2 * INTERVAL + 3
    said = capsys.readouterr().err
    assert 'process 1 has given no sign of life' in said and 'no checkpoint yet' in said and said.count('\n') == 1


def test_one_that_never_counts_is_lost_too(world, tmp_path):
    world.awake = lambda now: False
    assert 45 < watch(world, tmp_path) <= 45 + 2 * INTERVAL + 3


@pytest.mark.parametrize('pause', [60., 3600.])
def test_both_were_stopped_and_the_other_is_woken_later(world, tmp_path, pause):
    world.pauses[100.] = pause
    world.end = pause + 400
    world.awake = lambda now: not 100 <= now < 100 + pause + 20
    assert watch(world, tmp_path) is None


def test_after_a_pause_who_stays_away_is_lost(world, tmp_path):
    world.pauses[100.] = 60.
    world.awake = lambda now: now < 100
    assert 165 + 45 < watch(world, tmp_path) <= 165 + 45 + 2 * INTERVAL + 3


def test_one_that_comes_back_while_the_end_is_prepared_is_not_lost(world, tmp_path):
    """Its last sign was at 50 seconds; it is missed at 100, and looked for again at 103."""
    looked = []
    original = world.wait
    world.awake = lambda now: now <= 50 or bool(looked)

    def wait(seconds):
        if seconds == peer_watch_hook._GRACE:
            looked.append(world.now)
        return original(seconds)

    world.wait = wait
    assert watch(world, tmp_path) is None and len(looked) == 1


def test_a_store_that_fails_once_is_asked_again(world, tmp_path):
    original, failures = world.check, [True]

    def check(keys):
        if world.now > 20 and failures:
            failures.pop()
            raise RuntimeError('Connection reset by peer')
        return original(keys)

    world.check = check
    assert watch(world, tmp_path) is None and not failures


def test_a_disk_that_hangs_keeps_no_process(world, tmp_path, monkeypatch, capsys):
    never = threading.Event()
    monkeypatch.setattr(peer_watch_hook, '_LAST_WORDS', .2)
    monkeypatch.setattr(peer_watch_hook, 'newest_text', lambda folder: never.wait(60))
    world.awake = lambda now: False
    try:
        assert watch(world, tmp_path) is not None
    finally:
        never.set()
    assert 'its checkpoints could not be read within' in capsys.readouterr().err


def test_a_store_that_hangs_ends_who_asks_it(world, tmp_path, monkeypatch, capsys):
    """As where its process is stopped: no error, no answer. Here time is that of the machine."""
    never = threading.Event()
    monkeypatch.setattr(peer_watch_hook, '_GRACE', .1)
    monkeypatch.setattr(peer_watch_hook.time, 'monotonic', time.perf_counter)
    monkeypatch.setattr(world, 'check', lambda keys: never.wait(60), raising=False)
    thread = PeerWatch(str(tmp_path), patience=.3, interval=.1)
    try:
        with pytest.raises(Ended):
            thread.run()
    finally:
        never.set()
    assert 'keeps the store of the run no longer answers' in capsys.readouterr().err
