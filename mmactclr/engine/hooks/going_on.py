"""What a run that goes on says of itself, and how it counts where steps are no longer what they were."""
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmengine.runner import Runner

from mmactclr.engine.checkpoints.recipes import differences
from mmactclr.engine.loops.position import Position
from mmactclr.errors import ConfigError

_PREFIX = 'initial_'


def check_epochs(runner: Runner, meta: Mapping[str, Any], position: Position | None, source: str) -> None:
    """Compare the epochs that are done with those that are asked for.

    Raises:
        ConfigError: If more are done.
    """
    done, wanted, inside = meta['epoch'], runner.max_epochs, position.batches if position is not None else 0
    if done > wanted or (done == wanted and inside):
        more = f' and {inside} steps' if inside else ''
        raise ConfigError(
            f'checkpoint {source!r} has done {done} epochs{more}, train_cfg.max_epochs is {wanted}; evaluate it '
            f'(tools/test.py CONFIG CKPT), go on from an older one (--resume FILE), or set train_cfg.max_epochs to '
            f'{done + bool(inside)} or more')
    if done == wanted and (position is None or position.validated):
        runner.logger.warning(f'all {wanted} epochs of this run are done, checkpoint {source!r} is its end: nothing is '
                              'trained. For more epochs set train_cfg.max_epochs')


def say_what_differs(runner: Runner, meta: Mapping[str, Any], position: Position | None,
                     recipe: Mapping[str, Any]) -> None:
    """Warn of everything that makes the numbers others than those of a run that was not interrupted.

    Args:
        runner: The runner, its config being the one that is to go on.
        meta: Of the checkpoint.
        position: Of the checkpoint.
        recipe: Of the config.
    """
    saved = meta.get('recipe')
    anew = position is not None and position.share.steps != runner.train_loop.share.steps
    if isinstance(saved, Mapping):
        _warn_of_recipe(runner, saved, recipe, anew)
    if position is None:
        return
    before, now = position.share, runner.train_loop.share
    if before == now:
        return
    told = [f'{what} {old} -> {new}' for what, old, new in (
        ('processes', before.processes, now.processes), ('sequences of a step in each', before.batch_size,
                                                         now.batch_size),
        ('global batch', before.global_batch, now.global_batch), ('steps of an epoch', before.steps, now.steps))
        if old != new]
    text = f'the run goes on otherwise than it was: {", ".join(told)}. Its numbers are no longer those of the ' \
           'uninterrupted run'
    batches, again = position.batches_for(now)
    if position.batches:
        text += f'; of the epoch that was interrupted {batches} steps count as done' + (
            f', {again} of its sequences are seen a second time' if again else '')
    if anew:
        text += '. The schedule is that of the config, counted in the new steps'
    if before.global_batch != now.global_batch:
        text += '. The learning rate follows the global batch with auto_scale_lr.enable=True only'
    runner.logger.warning(text)


def _warn_of_recipe(runner: Runner, saved: Mapping[str, Any], recipe: Mapping[str, Any], anew: bool) -> None:
    """Warn of fields that differ, and of another length; ``anew``: the schedule is counted anew by the config."""
    changed = differences(saved, recipe)
    if changed:
        runner.logger.warning('the config is not the one that the checkpoint was trained with; what differs: '
                              + '; '.join(changed))
    train = saved.get('train_cfg')
    planned = train.get('max_epochs') if isinstance(train, Mapping) else None
    if planned is not None and planned != runner.max_epochs and runner.param_schedulers:
        schedule = ('its learning rate follows the schedule of the config, since an epoch has other steps: milestones, '
                    'T_max and end of param_scheduler should be those for the new length') if anew else (
            f'its learning rate keeps the schedule of the checkpoint, whose milestones, T_max and end are those for '
            f'{planned} epochs (a run that goes on does not read param_scheduler of the config)')
        runner.logger.warning(f'the run was meant for {planned} epochs and is now for {runner.max_epochs}: {schedule}')


def starting_values(runner: Runner) -> list[dict[str, Any]]:
    """Learning rate and other scheduled values of every parameter group as the config has them, before a step."""
    return [{name.removeprefix(_PREFIX): value for name, value in group.items() if name.startswith(_PREFIX)}
            for group in runner.optim_wrapper.param_groups]


def replay_schedule(runner: Runner, start: list[dict[str, Any]]) -> None:
    """Build the schedule of the config and bring it to where the run stands.

    A schedule by steps that was saved with another number of steps in an epoch would end too early or too late.

    Args:
        runner: The runner; ``epoch`` and ``iter`` say where it stands.
        start: Values of the parameter groups before the first step.
    """
    if not runner.param_schedulers:
        return
    for group, values in zip(runner.optim_wrapper.param_groups, start, strict=True):
        for name, value in values.items():
            group[name] = group[_PREFIX + name] = value
    runner.param_schedulers = runner.build_param_scheduler(deepcopy(runner.cfg.param_scheduler))
    steps = len(runner.train_dataloader)
    with warnings.catch_warnings():
        # the steps of the optimiser that belong to these lie in the past
        warnings.simplefilter('ignore', UserWarning)
        for step in range(1, runner.iter + 1):
            for scheduler in runner.param_schedulers:
                if not scheduler.by_epoch or step % steps == 0:
                    scheduler.step()
