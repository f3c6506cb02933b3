"""Epochs that an interrupted run goes on in the middle of."""
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, cast

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop
from torch import nn
from torch.utils.data import Sampler

from mmactclr.engine.random_states import capture_random
from mmactclr.engine.stop_signals import StopSignals, end_workers_at_exit, ignore_stopping
from mmactclr.registry import LOOPS

from .position import Position, Share, collected_gradients, gather_rows
from .rest_of_epoch import rest_of_epoch


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's epochs, of which an interrupted one goes on after its last step instead of at batch 0.

    The order of an epoch is a function of seed and epoch; batches that are done are left out without being loaded. A
    validation that was due or interrupted is made up for. Calls hooks at three more points, where everything that
    belongs to a step, epoch or validation is done and ``epoch`` and ``iter`` count what is finished:
    ``after_step(runner, batch_idx)``, ``after_epoch(runner)`` and ``after_validation(runner, metrics)``. SIGTERM,
    SIGINT, SIGUSR1 and SIGHUP are noted in ``signals`` where a hook has ``stops_runs = True``, as
    :class:`RunCheckpointHook` does, which stops the run; without one they do what they do elsewhere.

    Args:
        args: Those of mmengine's EpochBasedTrainLoop.
        kwargs: Likewise: ``max_epochs``, ``val_begin``, ``val_interval``, ``dynamic_intervals``.

    Attributes:
        batches_done: Steps of the current epoch that are done.
        validated: Whether no validation of the last epoch is left to do.
        resumed: Where the run went on, None for one that began.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataloader.worker_init_fn = partial(_init_worker, self.dataloader.worker_init_fn)
        self.signals = StopSignals()
        end_workers_at_exit()
        self.batches_done, self.validated = 0, True
        self.resumed: Position | None = None
        self._random_at_epoch = capture_random()

    @property
    def share(self) -> Share:
        """How an epoch is dealt out."""
        size = self.dataloader.batch_size or getattr(self.dataloader.batch_sampler, 'batch_size', None) or 1
        return Share(get_world_size(), size, len(self.dataloader))

    def position(self) -> Position:
        """Where the run stands; gathers from all processes, so all of them call it."""
        gradients = collected_gradients(self.runner)
        return Position(
            self.batches_done, self.share, self.validated, getattr(self._sampler(), 'seed', None),
            gather_rows(capture_random()), gather_rows(self._random_at_epoch),
            None if gradients is None else gather_rows(gradients))

    def go_on(self, position: Position) -> None:
        """Start from a position, converted if the epoch is dealt out otherwise; the runner sets the rest."""
        self.resumed = position
        self.batches_done, _ = position.batches_for(self.share)
        self.validated = position.validated
        if position.sampler_seed is not None and hasattr(self._sampler(), 'seed'):
            # without a seed in the config every process draws one
            cast(Any, self._sampler()).seed = position.sampler_seed

    def run(self) -> nn.Module:
        """Train, validate, and call the hooks."""
        # noted where nobody looks they would be lost
        heeded = any(getattr(hook, 'stops_runs', False) for hook in self.runner.hooks)
        with self.signals if heeded else nullcontext():
            self.runner.call_hook('before_train')
            if self.resumed is not None:
                if self.share == self.resumed.share:
                    self.resumed.restore_gradients(self.runner)
                if not self.batches_done:
                    self.resumed.restore_random(at_epoch=False)
            if not self.validated and self.runner.val_loop is not None:
                self.runner.logger.info(f'the validation of epoch {self._epoch} is made up for')
            self._validate()
            while self._epoch < self._max_epochs and not self.stop_training:
                self.run_epoch()
                self._validate()
            self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Take the steps of an epoch that are left."""
        start = self.batches_done
        if start and self.resumed is not None:
            self.resumed.restore_random(at_epoch=True)
        self._random_at_epoch = capture_random()
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches = self.dataloader
        if start and self.resumed is not None:
            batches = rest_of_epoch(self.dataloader, start, partial(self.resumed.restore_random, at_epoch=False))
        for number, batch in enumerate(batches, start):
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.batches_done = 0
        self._decide_current_val_interval()
        self.validated = not self._validation_follows()
        self.runner.call_hook('after_epoch')

    def run_iter(self, idx: int, data_batch: Sequence[dict] | Mapping[str, Any]) -> None:
        """Take a step."""
        super().run_iter(idx, data_batch)
        self.batches_done = idx + 1
        self.runner.call_hook('after_step', batch_idx=idx)

    def _validation_follows(self) -> bool:
        return self.runner.val_loop is not None and self._epoch >= self.val_begin and (
            self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)

    def _validate(self) -> None:
        if self.validated or self.runner.val_loop is None:
            return
        metrics = self.runner.val_loop.run()
        self.validated = True
        self.runner.call_hook('after_validation', metrics=metrics)

    def _sampler(self) -> Sampler | None:
        return getattr(self.dataloader.batch_sampler, 'sampler', self.dataloader.sampler)


def _init_worker(given: Callable[[int], None] | None, worker: int) -> None:
    ignore_stopping()
    if given is not None:
        given(worker)
