"""The batches of an epoch that are left, without loading those before them."""
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import Any, cast

from torch.utils.data import DataLoader


def rest_of_epoch(loader: DataLoader, start: int, ready: Callable[[], None]) -> Iterable[Any]:
    """Batches of a loader from the one at position ``start`` on.

    Args:
        loader: Loader whose sampler stands at the beginning of the epoch.
        start: Batches that are done. Only their indices are drawn; a loader without a batch sampler has to load them.
        ready: Called when sampler and loader have drawn what random numbers they draw, before anything is loaded.
    """
    if loader.batch_sampler is None:
        return _after(iter(loader), start, ready)
    return DataLoader(
        loader.dataset, batch_sampler=_Rest(loader.batch_sampler, start, ready), num_workers=loader.num_workers,
        collate_fn=loader.collate_fn, pin_memory=loader.pin_memory, timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn, multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator, prefetch_factor=loader.prefetch_factor)


class _Rest:
    """A batch sampler without its first batches."""

    def __init__(self, batches: Iterable[list[int]], start: int, ready: Callable[[], None]) -> None:
        self._batches, self._start, self._ready = batches, start, ready

    def __iter__(self) -> Iterator[list[int]]:
        yield from _after(iter(self._batches), self._start, self._ready)

    def __len__(self) -> int:
        return max(0, len(cast(Sized, self._batches)) - self._start)


def _after(batches: Iterator[Any], start: int, ready: Callable[[], None]) -> Iterator[Any]:
    for _ in islice(batches, start):
        pass
    ready()
    yield from batches
