"""Checkpoints that a run goes on from as if it had never been interrupted."""
import math
import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.dist import all_reduce, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmactclr.engine.checkpoints.newest import LAST, progress_of, remove_leftovers
from mmactclr.engine.checkpoints.writing import write_whole
from mmactclr.engine.loops.position import POSITION, Position
from mmactclr.engine.loops.resumable_train_loop import ResumableTrainLoop
from mmactclr.engine.stop_signals import StoppedRun
from mmactclr.errors import ConfigError, RunError
from mmactclr.registry import HOOKS
from mmactclr.utils import recipe_of

from .going_on import check_epochs, replay_schedule, say_what_differs, starting_values
from .method import get_method

# steps between two times that processes ask each other whether to save or stop; alone a process looks at every step
_ASK_EVERY = 5
_EPOCH, _ITER = 'epoch_{}.pth', 'iter_{}.pth'
# what models call the epoch at which their method changes
_SWITCHES = ('mining_epoch', 'cross_epoch')


@HOOKS.register_module()
class RunCheckpointHook(Hook):
    """Writes checkpoints at the end of epochs, by the clock, when the run is asked to stop and at the end.

    ``epoch_N.pth`` after epoch N, ``iter_K.pth`` in the middle of an epoch after K steps of the run, and
    ``best_METRIC_epoch_N.pth``. A file is written under a temporary name, brought to the disk and renamed, after
    everything that belongs to its step was done; ``last_checkpoint`` names the newest. Besides what mmengine saves it
    holds the position in the epoch, the state of the global random generators of every process and gradients that
    wait for more batches. Needs :class:`~mmactclr.engine.ResumableTrainLoop`.

    Args:
        interval: Epochs between checkpoints; -1: only the other reasons count.
        minutes: Minutes without a checkpoint after which one is written, in the middle of an epoch too; None: never.
        max_keep_ckpts: Newest ``epoch_N.pth`` that stay, and newest ``iter_K.pth`` where no epoch has ended since;
            -1: all.
        milestones: Epochs whose checkpoint is written and stays; None: those after which the method changes its
            stage.
        save_best: Metric of the validation whose best epoch is kept in a file of its own, such as
            ``knn/backbone_k20``; None: no such file.
        rule: Whether the larger (``greater``) or the smaller (``less``) value of it is better.

    Raises:
        ConfigError: If one of them is out of range.
    """

    priority = 'VERY_LOW'
    #: The loop may note signals: this hook looks at them.
    stops_runs = True

    def __init__(self, interval: int = 10, minutes: float | None = 30., max_keep_ckpts: int = 2,
                 milestones: Sequence[int] | None = None, save_best: str | None = None,
                 rule: Literal['greater', 'less'] = 'greater') -> None:
        if interval != -1 and interval < 1:
            raise ConfigError(f'RunCheckpointHook: interval is {interval}, expected 1 or more epochs, or -1 for none')
        if minutes is not None and not minutes > 0:
            raise ConfigError(f'RunCheckpointHook: minutes is {minutes}, expected more than 0, or None for none')
        if max_keep_ckpts != -1 and max_keep_ckpts < 1:
            raise ConfigError(f'RunCheckpointHook: max_keep_ckpts is {max_keep_ckpts}, expected 1 or more, or -1 for '
                              'all')
        if rule not in ('greater', 'less'):
            raise ConfigError(f"RunCheckpointHook: rule is {rule!r}, expected 'greater' or 'less'")
        self.interval, self.minutes, self.max_keep_ckpts = interval, minutes, max_keep_ckpts
        self.milestones = None if milestones is None else set(milestones)
        self.save_best, self.rule = save_best, rule
        self._session = time.time()
        self._since = time.monotonic()
        self._recipe: dict[str, Any] = {}
        # numbers of the files that may be removed, oldest first
        self._epochs: list[int] = []
        self._iters: list[int] = []
        # where training stood at the last save: epoch, iter, validated
        self._written: tuple[int, int, bool] | None = None
        self._position: Position | None = None
        # values that a schedule starts from, if it is to be counted anew
        self._schedule_start: list[dict[str, Any]] | None = None

    def before_run(self, runner: Runner) -> None:
        """Note what is computed, as the config has it.

        Raises:
            ConfigError: If the training loop cannot go on in the middle of an epoch.
        """
        self._recipe = recipe_of(runner.cfg)
        loop = runner._train_loop
        if isinstance(loop, BaseLoop) and not isinstance(loop, ResumableTrainLoop):
            raise ConfigError(f'RunCheckpointHook: train_cfg.type is {type(loop).__name__}, expected '
                              "'ResumableTrainLoop'; set it, or default_hooks.checkpoint to mmengine's CheckpointHook")

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Tell the loop where to go on, and say what is no longer as it was.

        Raises:
            ConfigError: If more epochs are done than are asked for.
            DataError: If the position in the epoch is damaged.
        """
        if not runner._resume or runner._train_loop is None:
            return
        source, meta, loop = str(runner._load_from), checkpoint['meta'], runner.train_loop
        progress = progress_of(checkpoint)
        if progress is not None:
            self._session = max(self._session, progress.session + 1e-3)
        position = Position.of(checkpoint, source)
        if position is not None and position.share != loop.share \
                and getattr(runner.train_dataloader.dataset, 'divided', False):
            # who reads what, and so the order of an epoch, depends on the processes
            runner.logger.warning('archives are divided among other processes or batches than before: the epoch begins '
                                  'anew')
            position = replace(position, batches=0)
        check_epochs(runner, meta, position, source)
        say_what_differs(runner, meta, position, self._recipe)
        if position is None:
            return
        loop.go_on(position)
        if position.share.steps != loop.share.steps:
            self._schedule_start = starting_values(runner)
        if position.share != loop.share:
            meta['iter'] = meta['epoch'] * loop.share.steps + loop.batches_done
        elif Path(source).resolve().parent == Path(runner.work_dir).resolve():
            self._written = meta['epoch'], meta['iter'], position.validated

    def before_train(self, runner: Runner) -> None:
        """Find the files of this run, and count the schedule anew where steps are no longer what they were."""
        if self._schedule_start is not None:
            replay_schedule(runner, self._schedule_start)
        folder = Path(runner.work_dir)
        if is_main_process():
            remove_leftovers(folder)
        earlier = [template.format(number) for template in (_EPOCH, _ITER) for number in _numbers(folder, template)]
        if earlier and not runner._resume:
            runner.logger.warning(f'{folder} holds checkpoints of an earlier run ({", ".join(earlier)}); those of the '
                                  'same name will be replaced. To go on from them stop and add --resume, to keep them '
                                  'take another --work-dir')
        if runner._resume:
            self._epochs = [n for n in _numbers(folder, _EPOCH) if n <= runner.epoch]
            self._iters = [n for n in _numbers(folder, _ITER) if n <= runner.iter]
            if self._written is not None:
                runner.message_hub.update_info('last_ckpt', str(runner._load_from))
            self._drop_former_best(runner)
        if self.milestones is None:
            self.milestones = _stage_ends(runner)
        self._since = time.monotonic()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the position in the epoch."""
        if self._position is not None:
            checkpoint[POSITION] = self._position.to_dict()

    def after_step(self, runner: Runner, batch_idx: int) -> None:
        """Save in the middle of an epoch if it is time to, or a signal asks for it."""
        # the last step of an epoch is followed by after_epoch
        if batch_idx + 1 >= len(runner.train_dataloader) or (get_world_size() > 1 and runner.iter % _ASK_EVERY):
            return
        self._save_or_stop(runner)

    def after_epoch(self, runner: Runner) -> None:
        """Save every ``interval`` epochs, at milestones and at the end."""
        epoch = runner.epoch
        due = epoch == runner.max_epochs or epoch in (self.milestones or ()) \
            or (self.interval > 0 and epoch % self.interval == 0)
        self._save_or_stop(runner, due)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop a validation whose epoch is saved, as it is made up for; others, and of several processes, end first."""
        loop = runner._train_loop
        number = loop.signals.number if isinstance(loop, ResumableTrainLoop) else 0
        if number and get_world_size() == 1 and self._written == _state(runner):
            self._stop(runner, number)

    def after_validation(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        """Save the best epoch, and write down that the validation is done.

        Raises:
            ConfigError: If the validation gives no metric of the name ``save_best``; a checkpoint is written before.
        """
        if self.save_best is not None and self.save_best not in metrics:
            if self._written != _state(runner):
                # what was trained is not lost to a name
                self._save(runner)
            raise ConfigError(f'RunCheckpointHook: save_best is {self.save_best!r}, the validation gives '
                              f'{", ".join(metrics) or "nothing"}; set default_hooks.checkpoint.save_best to one of '
                              f'them and go on with --resume from {runner.message_hub.get_info("last_ckpt")}')
        self._update_best(runner, metrics)
        # the checkpoint of this epoch says that its validation is still to be done
        again = self._written is not None and self._written[:2] == (runner.epoch, runner.iter)
        self._save_or_stop(runner, again)

    def _save_or_stop(self, runner: Runner, due: bool = False) -> None:
        number, late = self._asked(runner)
        if (due or late or number) and self._written != _state(runner):
            self._save(runner)
        if number:
            self._stop(runner, number)

    def _asked(self, runner: Runner) -> tuple[int, bool]:
        """Signal that came to any process, 0 for none, and whether rank 0's clock says that it is time."""
        number = runner.train_loop.signals.number
        late = is_main_process() and self.minutes is not None and time.monotonic() - self._since > 60 * self.minutes
        if get_world_size() == 1:
            return number, late
        asked = torch.tensor([number, int(late)])
        all_reduce(asked, 'max')
        return int(asked[0]), bool(asked[1])

    def _stop(self, runner: Runner, number: int) -> None:
        name = signal.Signals(number).name
        runner.logger.warning(
            f'{name}: stopped after {runner.epoch} epochs and {runner.train_loop.batches_done} of '
            f'{len(runner.train_dataloader)} steps of the next; {runner.message_hub.get_info("last_ckpt")} is written. '
            'To go on give the same command with --resume')
        runner.visualizer.close()
        raise StoppedRun(number)

    def _save(self, runner: Runner) -> None:
        inside = runner.train_loop.batches_done > 0
        template, numbers, number = (_ITER, self._iters, runner.iter) if inside else (
            _EPOCH, self._epochs, runner.epoch)
        self._write(runner, template.format(number))
        if number not in numbers:
            numbers.append(number)
        if self.max_keep_ckpts == -1:
            return
        self._drop(runner, template, numbers, numbers[:-self.max_keep_ckpts])
        if not inside:
            # the end of an epoch outdates what was written in its middle
            self._drop(runner, _ITER, self._iters, self._iters[:])

    def _write(self, runner: Runner, name: str, newest: bool = True) -> None:
        """Write a file, and its name as that of the newest; all processes raise if the main one cannot."""
        path = Path(runner.work_dir) / name
        self._position = runner.train_loop.position()
        if newest:
            runner.message_hub.update_info('last_ckpt', str(path))
        failure: RunError | None = None
        if is_main_process():
            try:
                write_whole(path, partial(self._fill, runner))
                if newest:
                    write_whole(path.with_name(LAST), lambda aside: aside.write_text(str(path)))
            except RunError as error:
                failure = error
        if get_world_size() > 1:
            failed = torch.tensor([int(failure is not None)])
            all_reduce(failed, 'max')
            if failed and failure is None:
                failure = RunError(f'process 0 could not write {path}, see its message; the run ends here')
        self._position = None
        if failure is not None:
            raise failure
        if newest:
            self._written, self._since = _state(runner), time.monotonic()
            runner.logger.info(f'checkpoint {path} is written')

    def _fill(self, runner: Runner, path: Path) -> None:
        """Write the checkpoint of this moment to a path."""
        meta = dict(epoch=runner.epoch, iter=runner.iter, session=self._session, recipe=self._recipe)
        runner.save_checkpoint(str(path.parent), path.name, meta=meta, by_epoch=False,
                               save_param_scheduler=runner.param_schedulers is not None)

    def _drop(self, runner: Runner, template: str, numbers: list[int], old: list[int]) -> None:
        """Remove old files that are no milestones."""
        for number in old:
            if template == _EPOCH and number in (self.milestones or ()):
                continue
            numbers.remove(number)
            if is_main_process():
                (Path(runner.work_dir) / template.format(number)).unlink(missing_ok=True)

    def _update_best(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        """Write the best epoch if this is one, and remove the one before."""
        if self.save_best is None:
            return
        hub, value = runner.message_hub, float(metrics[self.save_best])
        best, former = hub.runtime_info.get('best_score'), hub.runtime_info.get('best_ckpt')
        better = best is None or (value > best if self.rule == 'greater' else value < best)
        if not better or math.isnan(value):
            return
        name = self._best.format(runner.epoch)
        hub.update_info('best_score', value)
        # the name alone: the folder may be moved
        hub.update_info('best_ckpt', name)
        last = hub.runtime_info.get('last_ckpt')
        self._write(runner, name, newest=False)
        hub.update_info('last_ckpt', last)
        runner.logger.info(f'best epoch so far: {runner.epoch}, {self.save_best} {value:.2f}')
        if former not in (None, name) and is_main_process():
            (Path(runner.work_dir) / former).unlink(missing_ok=True)

    @property
    def _best(self) -> str:
        """What the file of the best epoch is called."""
        return f'best_{re.sub(r"[^0-9A-Za-z.-]", "_", str(self.save_best))}_{_EPOCH}'

    def _drop_former_best(self, runner: Runner) -> None:
        """Remove a best epoch that was outdone just before the run was killed."""
        best = runner.message_hub.runtime_info.get('best_ckpt')
        if self.save_best is None or best is None or not is_main_process():
            return
        folder = Path(runner.work_dir)
        for number in _numbers(folder, self._best):
            if number <= runner.epoch and self._best.format(number) != best:
                (folder / self._best.format(number)).unlink(missing_ok=True)


def _state(runner: Runner) -> tuple[int, int, bool]:
    """What a checkpoint written now would hold."""
    return runner.epoch, runner.iter, runner.train_loop.validated


def _numbers(folder: Path, template: str) -> list[int]:
    """Numbers of the files of a folder that are named like a template, in order."""
    pattern = re.compile(re.escape(template).replace(re.escape('{}'), r'(\d+)'))
    return sorted(int(match[1]) for match in map(pattern.fullmatch, (path.name for path in folder.iterdir())) if match)


def _stage_ends(runner: Runner) -> set[int]:
    """Epochs after which the method changes its stage."""
    ends: set[int] = set()
    method = get_method(runner, 'RunCheckpointHook')
    for branch in (method, *method.branches().values()):
        ends |= {sum(branch.stage_epochs[:-1])} if getattr(branch, 'stage_epochs', None) else set()
        ends |= {getattr(branch, name) for name in _SWITCHES if hasattr(branch, name)}
    return ends
