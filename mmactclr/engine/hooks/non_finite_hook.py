"""Keeps steps whose loss or gradient is no number away from the weights."""
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmactclr.engine.bad_batch import culprits, describe_batch
from mmactclr.engine.checkpoints import find_newest, read_checkpoint, state_of
from mmactclr.engine.checkpoints.last_good import newest_text
from mmactclr.engine.optimizers.step_guard import StepGuard
from mmactclr.errors import ConfigError, RunError
from mmactclr.registry import HOOKS
from mmactclr.utils import write_json

from .method import get_method

_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Refuses an optimiser step on a loss or a gradient that is NaN or infinite, and says where it came from.

    The step is refused before it is taken, in all processes together: weights, optimiser, running statistics, key
    encoder, memory and anchor stay what they were before the step, whatever the action. ``bad_step_N.json`` in the work
    dir (N counts iterations from 1) names the loss terms, the parameters, the batch and its sequences. A checkpoint of
    weights that are not finite is never written.

    Args:
        action: ``stop`` ends the run with a :class:`RunError`; ``skip`` goes on with the next batch, the learning rate
            schedule goes on as well; ``rollback`` takes the state of the newest checkpoint of this run and goes on
            with the next batch, so that what was learned since is lost and the steps that led here are not repeated
            (as Chowdhery et al., PaLM, 2022, section 5.1, did by hand).
        max_skips: Steps in a row that may be skipped; one more stops the run.
        max_rollbacks: Rollbacks of a run; one more stops it.
        lr_factor: What a rollback multiplies the learning rate by where the data of the batch are finite; where they
            are not the batch is at fault, and the learning rate stays.

    Raises:
        ConfigError: If an argument is out of range.
    """

    # before anything logs, stores or follows the step
    priority = 'HIGHEST'

    def __init__(self, action: Literal['stop', 'skip', 'rollback'] = 'stop', max_skips: int = 5,
                 max_rollbacks: int = 3, lr_factor: float = 0.5) -> None:
        if action not in ('stop', 'skip', 'rollback'):
            raise ConfigError(f"NonFiniteHook: action is {action!r}, expected 'stop', 'skip' or 'rollback'")
        if max_skips < 1 or max_rollbacks < 1 or not 0 < lr_factor <= 1:
            raise ConfigError(f'NonFiniteHook: max_skips is {max_skips}, max_rollbacks {max_rollbacks} and lr_factor '
                              f'{lr_factor}, expected 1 or more of both and a factor above 0 and up to 1')
        self.action, self.max_skips, self.max_rollbacks, self.lr_factor = action, max_skips, max_rollbacks, lr_factor
        self._in_a_row = self._rollbacks = 0
        self._guard: StepGuard | None = None
        self._has_checkpoint = False

    @property
    def _running_guard(self) -> StepGuard:
        if self._guard is None:
            raise RuntimeError('NonFiniteHook: a step was taken before before_train, or after after_train')
        return self._guard

    def before_train(self, runner: Runner) -> None:
        """Put the guard before the optimiser."""
        method = get_method(runner, 'NonFiniteHook')
        self.after_train(runner)
        self._guard = StepGuard(runner.optim_wrapper, {
            name: value for name, value in method.named_parameters() if value.requires_grad})
        self._statistics = [value for name, value in method.named_buffers() if name.endswith(_STATISTICS)]
        self._copies = [value.clone() for value in self._statistics]
        self._in_a_row = self._rollbacks = 0
        # what lies in the folder belongs to this run only if it went on from there, or wrote it
        self._has_checkpoint = bool(runner._resume)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the running statistics, which the forward pass moves before a loss is known."""
        _copy(self._statistics, self._copies)
        self._running_guard.start()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Deal with a step that was refused.

        Raises:
            RunError: If that ends the run.
        """
        # of accumulated gradients only the last step is guarded; a loss before it would reach the memory
        stepped = runner.optim_wrapper.should_update()
        guard = self._running_guard
        if not (guard.bad if stepped else not guard.losses_finite()):
            self._in_a_row = 0
            return
        method = get_method(runner, 'NonFiniteHook')
        _copy(self._copies, self._statistics)
        runner.optim_wrapper.zero_grad()
        report = self._report(runner, method, batch_idx, data_batch, outputs or {})
        for part in {method, *method.branches().values()}:
            part.drop_step()
        if outputs:
            outputs.clear()
        done = self._act(runner, method, report)
        self._tell(runner, report, done)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint of weights that are not finite; those before it stay.

        Raises:
            RunError: If one of them is not.
        """
        bad = [name for name, value in checkpoint.get('state_dict', {}).items()
               if torch.is_tensor(value) and value.is_floating_point() and not torch.isfinite(value).all()]
        if bad:
            raise RunError(f'iteration {runner.iter}: {len(bad)} weights such as {bad[0]} are no longer finite, so no '
                           f'checkpoint of them is written; {newest_text(runner.work_dir)}; lower '
                           'optim_wrapper.optimizer.lr and go on from there')
        self._has_checkpoint = True

    def after_train(self, runner: Runner) -> None:
        """Take the guard away."""
        if self._guard is not None:
            self._guard.remove()
            self._guard = None

    def _report(self, runner: Runner, method: Any, batch_idx: int, batch: Mapping[str, Any],
                outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What happened, gathered from all processes."""
        dataset = runner.train_dataloader.dataset
        samples = describe_batch(method, dataset, batch)
        losses = {name: float(value) for name, value in outputs.items() if 'loss' in name}
        own = dict(rank=get_rank(), losses=losses, samples=samples)
        everyone = all_gather_object(own)
        wrong = {f'{name} (process {part["rank"]})' if get_world_size() > 1 else name: str(value)
                 for part in everyone for name, value in part['losses'].items()
                 if not math.isfinite(value) and (name != 'loss' or len(part['losses']) == 1)}
        return dict(
            iteration=runner.iter + 1, epoch=runner.epoch + 1, batch=batch_idx + 1,
            batches=len(runner.train_dataloader), action=self.action, losses_not_finite=wrong,
            gradients_not_finite=self._running_guard.parameters, lr=runner.optim_wrapper.param_groups[0]['lr'],
            samples_not_finite=culprits(sample for part in everyone for sample in part['samples']),
            processes=[dict(part, losses={name: str(value) for name, value in part['losses'].items()})
                       for part in everyone])

    def _act(self, runner: Runner, method: Any, report: dict[str, Any]) -> str:
        """Do what the config says; returns what was done, empty if the run has to stop."""
        if self.action == 'skip':
            self._in_a_row += 1
            if self._in_a_row <= self.max_skips:
                return f'the step is skipped ({self._in_a_row} in a row, {self.max_skips} are allowed)'
            report['why_stopped'] = f'{self.max_skips} steps in a row were skipped (max_skips)'
        elif self.action == 'rollback':
            self._rollbacks += 1
            path = _agreed(find_newest(runner.work_dir) if self._has_checkpoint else None)
            if self._rollbacks > self.max_rollbacks:
                report['why_stopped'] = f'the run was rolled back {self.max_rollbacks} times (max_rollbacks)'
            elif path is None:
                report['why_stopped'] = 'this run has written no checkpoint yet to go back to'
            else:
                factor = 1.0 if report['samples_not_finite'] else self.lr_factor
                _roll_back(runner, method, path, factor)
                report['rolled_back_to'] = str(path)
                return (f'weights, optimiser and memory are those of {path} again ({self._rollbacks} of '
                        f'{self.max_rollbacks} rollbacks), the learning rate times {factor:g}')
        return ''

    def _tell(self, runner: Runner, report: dict[str, Any], done: str) -> None:
        path = Path(runner.work_dir) / f'bad_step_{report["iteration"]}.json'
        if is_main_process():
            write_json(path, report)
        terms = ', '.join(f'{name} is {value}' for name, value in report['losses_not_finite'].items())
        if not terms:
            first = (report['gradients_not_finite'] or ['parameters'])[0]
            terms = f'the losses are finite, the gradient of {first} is not'
        blamed = report['samples_not_finite']
        listed = ', '.join(f'{sample["name"]} (index {sample["index"]})' for sample in blamed[:5])
        more = f' and {len(blamed) - 5} more' if len(blamed) > 5 else ''
        cause = f'the numbers of {listed}{more} are not finite' if blamed else (
            'the data of the batch are finite')
        text = (f'{terms} at iteration {report["iteration"]} (epoch {report["epoch"]}, batch {report["batch"]} of '
                f'{report["batches"]}): {cause}; see {path}')
        if done:
            print_log(f'{text}; {done}', logger='current', level=logging.WARNING)
            return
        advice = ('tools/dataset_converters/verify.py says what is wrong with the archive; delete its folder prepared '
                  'to make the prepared sequences again') if blamed else (
            "lower optim_wrapper.optimizer.lr, set optim_wrapper.clip_grad=\"dict(max_norm=1.0)\" or train without "
            '--amp')
        why = f'{report["why_stopped"]}; ' if 'why_stopped' in report else ''
        raise RunError(f'{text}. {why}The step was not taken; {newest_text(runner.work_dir)}. To go on: {advice}; or '
                       "--cfg-options default_hooks.non_finite.action=skip (or rollback), with --resume")


def _agreed(path: Path | None) -> Path | None:
    """What the first process found, in all of them."""
    found = [path]
    broadcast_object_list(found)
    return found[0]


def _roll_back(runner: Runner, method: torch.nn.Module, path: Path, factor: float) -> None:
    """Take weights, buffers and the optimiser's state of a checkpoint; where training stands stays."""
    checkpoint = read_checkpoint(path)
    method.load_state_dict(state_of(checkpoint))
    groups = runner.optim_wrapper.param_groups
    # the schedule goes on from here
    settings = [{name: value for name, value in group.items() if name != 'params'} for group in groups]
    runner.optim_wrapper.load_state_dict(checkpoint['optimizer'])
    for group, kept in zip(runner.optim_wrapper.param_groups, settings, strict=True):
        group.update(kept, lr=kept['lr'] * factor)


def _copy(source: list[torch.Tensor], target: list[torch.Tensor]) -> None:
    """Copy tensor by tensor in one go; a model without batch norm has none."""
    if source:
        torch._foreach_copy_(target, source)
