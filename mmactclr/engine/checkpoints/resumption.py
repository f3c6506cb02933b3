"""Refusing to go on from a checkpoint whose state of training is damaged, before any of it is loaded.

mmengine copies optimiser, schedules and message hub of a checkpoint into the run as they come: numbers of a wrong kind
raise steps later, missing ones are passed over, and paths in it name files that the run deletes.
"""
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner
from torch import Tensor

from mmactclr.errors import ConfigError, DataError

from .hook_state import check_hook_state
from .plain import find_foreign

# a counter beyond it cannot come from training: a thousand steps a second for 35 years
_MOST_STEPS = 2 ** 40
# names of all sequences of a data set are among the values
_MOST_VALUES = 10_000_000
# torch and numpy take seeds up to here
_MOST_SEED = 2 ** 32 - 1
_HUB = ('log_scalars', 'runtime_info', 'resumed_keys')
_HISTORY = {'HistoryBuffer', 'count', 'max_length'}
_INTACT = 'take an intact copy of the file, or another checkpoint of the run'


def check_progress(checkpoint: Mapping[str, Any], source: str) -> None:
    """Refuse a checkpoint that says nonsense of how long it was trained; it may say nothing.

    Args:
        checkpoint: Content of the file.
        source: Name of the file, for messages.

    Raises:
        DataError: If epoch, iter or seed are no whole numbers in range.
    """
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    for name, most in (('epoch', _MOST_STEPS), ('iter', _MOST_STEPS), ('seed', _MOST_SEED)):
        value = meta.get(name)
        if value is not None and not (_is_whole(value) and 0 <= value <= most):
            raise DataError(f'checkpoint {source!r}: meta.{name} is {_shown(value)}, expected a whole number from 0 to '
                            f'{most}; {_INTACT}')


def check_resumable(checkpoint: Mapping[str, Any], source: str) -> None:
    """Refuse to go on from a file of weights alone, or from one whose account of its training is damaged.

    Args:
        checkpoint: Content of the file.
        source: Name of the file, for messages.

    Raises:
        ConfigError: If it does not say where its training stood.
        DataError: If what it says of it is damaged.
    """
    check_progress(checkpoint, source)
    meta: Any = checkpoint.get('meta')
    progress: list[Any] = [meta.get(name) for name in ('epoch', 'iter')] if isinstance(meta, Mapping) else []
    if not progress or None in progress or not isinstance(checkpoint.get('message_hub'), Mapping):
        raise ConfigError(f'checkpoint {source!r} does not say where its training stood (epoch, iter, message_hub), so '
                          f'it cannot go on; start a new run from its weights: --cfg-options load_from={source}')
    epoch, step = progress
    if epoch > step:
        raise DataError(f'checkpoint {source!r}: meta.iter is {step}, fewer steps than epochs (meta.epoch is {epoch}); '
                        f'{_INTACT}')
    foreign = find_foreign(meta.get('dataset_meta'), _MOST_VALUES, tensors=True)
    if foreign:
        raise DataError(f'checkpoint {source!r}: {foreign} in meta.dataset_meta is no plain data; {_INTACT}')
    check_hook_state(checkpoint, meta, source)
    check_hub(checkpoint['message_hub'], source)


def check_training_state(checkpoint: Mapping[str, Any], runner: Runner, source: str) -> None:
    """Refuse progress, optimiser and schedules that are not those of a run; drops paths that are none of its own.

    Args:
        checkpoint: Content of the file.
        runner: The run that goes on, built, its own state not yet replaced.
        source: Name of the file, for messages.

    Raises:
        ConfigError: If they are missing or of another optimiser, schedule or length of training.
        DataError: If they are damaged.
    """
    check_resumable(checkpoint, source)
    missing = [name for name in _HUB if name not in checkpoint['message_hub']]
    needed = {'optimizer': runner.optim_wrapper, 'param_schedulers': runner.param_schedulers}
    missing += [name for name, own in needed.items() if own and name not in checkpoint]
    if missing:
        raise ConfigError(f'checkpoint {source!r} has no {", ".join(missing)}, without which the run would not go on '
                          f'as it was; start a new run from its weights: --cfg-options load_from={source}')
    if checkpoint['meta']['epoch'] > runner.max_epochs:
        raise ConfigError(f'checkpoint {source!r} stands after epoch {checkpoint["meta"]["epoch"]}, the run ends after '
                          f'{runner.max_epochs}: nothing would be trained; set train_cfg.max_epochs to more')
    wrapper = runner.optim_wrapper
    if hasattr(wrapper, 'optimizer'):
        _check_optimizer(checkpoint['optimizer'], wrapper.optimizer, source)
    if isinstance(runner.param_schedulers, list):
        _check_schedulers(checkpoint['param_schedulers'], runner.param_schedulers, source)
    _drop_foreign_paths(checkpoint['message_hub']['runtime_info'], Path(runner.work_dir))


def check_hub(hub: Any, source: str) -> None:
    """Refuse logs and notes of a run that are damaged.

    Raises:
        DataError: If they are no plain data of the form that a run writes; ``source`` names the file.
    """
    if not isinstance(hub, Mapping):
        raise DataError(f'checkpoint {source!r}: message_hub is {_shown(hub)}, expected a dict; {_INTACT}')
    foreign = find_foreign(hub, _MOST_VALUES, tensors=True)
    if foreign:
        raise DataError(f'checkpoint {source!r}: {foreign} in its message_hub is no plain data; {_INTACT}')
    for name in _HUB:
        if not isinstance(hub.get(name, {}), dict):
            raise DataError(f'checkpoint {source!r}: message_hub.{name} is {_shown(hub[name])}, expected a dict; '
                            f'{_INTACT}')
    for name, history in hub.get('log_scalars', {}).items():
        if not _is_history(history):
            raise DataError(f'checkpoint {source!r}: message_hub.log_scalars.{name[:80]} is no history of logged '
                            f'numbers; {_INTACT}')
    best = hub.get('runtime_info', {}).get('best_score')
    if best is not None and not _is_number(best):
        raise DataError(f'checkpoint {source!r}: message_hub.runtime_info.best_score is {_shown(best)}, expected a '
                        f'finite number; {_INTACT}')
    kept = hub.get('runtime_info', {}).get('keep_ckpt_ids', [])
    if not isinstance(kept, (list, tuple)) or not all(map(_is_whole, kept)):
        # files of these numbers are deleted
        raise DataError(f'checkpoint {source!r}: message_hub.runtime_info.keep_ckpt_ids is {_shown(kept)}, expected '
                        f'numbers of checkpoints; {_INTACT}')


def _is_history(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != _HISTORY:
        return False
    logged, counts, length = value['HistoryBuffer'], value['count'], value['max_length']
    return torch.is_tensor(logged) and torch.is_tensor(counts) and logged.ndim == 1 and logged.shape == counts.shape \
        and logged.dtype == torch.float64 and counts.dtype == torch.int64 and _is_whole(length) and length >= 1


def _drop_foreign_paths(info: dict[str, Any], work_dir: Path) -> None:
    """Forget a best checkpoint that is no file of this run: the next better one would delete what the path names."""
    for name in [name for name in info if name.startswith('best_ckpt')]:
        path = info[name]
        own = isinstance(path, str) and '\0' not in path and Path(path).suffix == '.pth' \
            and Path(path).name.startswith('best_') and (work_dir / path).parent.resolve() == work_dir.resolve() \
            and not (work_dir / path).is_dir()
        if not own:
            del info[name]


def _check_optimizer(found: Any, optimizer: torch.optim.Optimizer, source: str) -> None:
    own = optimizer.state_dict()['param_groups']
    groups = found.get('param_groups') if isinstance(found, dict) else None
    if not isinstance(groups, list) or not isinstance(found.get('state'), dict) \
            or not all(isinstance(group, dict) for group in groups):
        raise DataError(f"checkpoint {source!r}: optimizer is {_shown(found)}, expected a dict with 'state' and a list "
                        f"'param_groups'; {_INTACT}")
    if len(groups) != len(own):
        raise _other_optimizer(source, f'param_groups has {len(groups)} groups, the run {len(own)}')
    for number, (group, ours) in enumerate(zip(groups, own, strict=True)):
        where = f'param_groups.{number}'
        absent = sorted({*ours} - {*group} - {'initial_lr'})
        if absent:
            raise _other_optimizer(source, f'{where} has no {", ".join(absent)}')
        if group['params'] != ours['params']:
            count = len(group['params']) if isinstance(group['params'], list) else _shown(group['params'])
            raise _other_optimizer(source, f'{where}.params is of {count} parameters, or of others, the run has '
                                           f'{len(ours["params"])}')
        wrong = next((name for name in group if name in ours and not _alike(group[name], ours[name])), None)
        if wrong:
            raise DataError(f'checkpoint {source!r}: optimizer.{where}.{wrong} is {_shown(group[wrong])}, expected '
                            f'a value such as {ours[wrong]!r}; {_INTACT}')
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    _check_moments(found['state'], parameters, source)


def _check_moments(state: dict[Any, Any], parameters: Sequence[Tensor], source: str) -> None:
    names: set[str] | None = None
    for index, moments in state.items():
        where = f'optimizer.state.{_shown(index)}'
        if not _is_whole(index) or not 0 <= index < len(parameters):
            raise _other_optimizer(source, f'{where} is of a parameter that the run has not')
        if not isinstance(moments, dict) or names not in (None, {*moments}):
            raise DataError(f'checkpoint {source!r}: {where} is {_shown(moments)}, expected what the optimiser keeps '
                            f'of every other parameter; {_INTACT}')
        names = {*moments}
        for name, value in moments.items():
            if not _is_moment(value, parameters[index]):
                raise DataError(f'checkpoint {source!r}: {where}.{name} is {_shown(value)}, expected finite numbers '
                                f'of shape {tuple(parameters[index].shape)} or a single one; {_INTACT}')


def _is_moment(value: Any, parameter: Tensor) -> bool:
    if not torch.is_tensor(value):
        return value is None or _is_number(value)
    return value.layout == torch.strided and not value.is_meta and not value.is_complex() \
        and value.shape in (parameter.shape, torch.Size([]), torch.Size([1])) \
        and bool(torch.isfinite(value).all())


def _check_schedulers(found: Any, schedulers: Sequence[Any], source: str) -> None:
    if not isinstance(found, list) or not all(isinstance(state, dict) for state in found):
        raise DataError(f'checkpoint {source!r}: param_schedulers is {_shown(found)}, expected a list of dicts; '
                        f'{_INTACT}')
    if len(found) != len(schedulers):
        raise ConfigError(f'checkpoint {source!r} has {len(found)} param_schedulers, the config {len(schedulers)}; go '
                          f'on with the schedule it was trained with, or start anew: --cfg-options load_from={source}')
    for number, (state, scheduler) in enumerate(zip(found, schedulers, strict=True)):
        own = scheduler.state_dict()
        if {*state} != {*own}:
            names = ', '.join(sorted(map(str, {*state} ^ {*own})))
            kind = type(scheduler).__name__
            raise ConfigError(f'checkpoint {source!r}: param_schedulers.{number} is not of a {kind} '
                              f'as the config has it ({names[:200]}); go on with the schedule it was trained with, or '
                              f'start anew: --cfg-options load_from={source}')
        wrong = next((name for name in own if not _alike(state[name], own[name])
                      or name in ('last_step', '_global_step') and not -1 <= state[name] <= _MOST_STEPS), None)
        if wrong:
            raise DataError(f'checkpoint {source!r}: param_schedulers.{number}.{wrong} is {_shown(state[wrong])}, '
                            f'expected a value such as {own[wrong]!r}; {_INTACT}')


def _alike(found: Any, own: Any) -> bool:
    """Whether a value is of the kind of one of the run's: numbers are finite, lists as long and of like values."""
    if own is None or isinstance(own, bool):
        return found is None or isinstance(found, bool)
    if isinstance(own, (int, float)):
        return _is_number(found) and (isinstance(own, float) or isinstance(found, int) or found == int(found))
    if isinstance(own, dict):
        # milestones, whose number is the schedule's own
        return type(found) is type(own) and all(_is_number(item) for pair in dict.items(found) for item in pair)
    if isinstance(own, (list, tuple)):
        return isinstance(found, (list, tuple)) and len(found) == len(own) \
            and all(_alike(*pair) for pair in zip(found, own, strict=True))
    return type(found) is type(own)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _other_optimizer(source: str, what: str) -> ConfigError:
    return ConfigError(f'checkpoint {source!r}: the state of its optimizer does not fit the run ({what}); go on with '
                       f'the config it was trained with, or start anew: --cfg-options load_from={source}')


def _shown(value: Any) -> str:
    """A scalar as it is, of anything else its kind."""
    if isinstance(value, (str, int, float, type(None))):
        try:
            return ascii(value)[:80]
        except ValueError:  # more digits than Python writes
            return 'a very large number'
    if torch.is_tensor(value):
        return f'a tensor of shape {tuple(value.shape)} and {value.dtype}, or not finite'
    return f'a {type(value).__name__} of {len(value)}' if isinstance(value, (dict, list, tuple)) \
        else f'of type {type(value).__name__}'
