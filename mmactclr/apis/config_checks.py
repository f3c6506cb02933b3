"""Refusing a config that cannot be run, before and after the run is built."""
import difflib
from collections.abc import Mapping
from typing import Any, cast

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseDataPreprocessor, is_model_wrapper
from mmengine.runner import Runner

from mmactclr import registry
from mmactclr.engine.checkpoints import FROM_CHECKPOINT, read_checkpoint
from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm
from mmactclr.utils.overrides import RUNNER_HOOKS
from mmactclr.utils.zoo import find_checkpoint

from .argument_kinds import fits, kinds_of, named
from .build_errors import unknown_type

_SECTION = dict | None
_FIELDS = {
    **dict.fromkeys(('train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg',
                     'optim_wrapper', 'auto_scale_lr', 'default_hooks', 'env_cfg', 'log_processor', 'randomness',
                     'visualizer', 'model_wrapper_cfg', 'custom_imports'), _SECTION),
    **dict.fromkeys(('param_scheduler', 'val_evaluator', 'test_evaluator'), dict | list[dict] | None),
    'model': dict, 'custom_hooks': list | tuple | None, 'load_from': str | None, 'resume': bool,
    'work_dir': str | None, 'experiment_name': str | None, 'default_scope': str | None, 'runner_type': str,
    'log_level': str | int, 'data_root': str | None, 'num_frames': int | None, 'max_persons': int | None,
    'num_classes': int | str | None, 'split': str | None, 'find_unused_parameters': bool}
_LOADER = {'batch_size': int, 'num_workers': int, 'drop_last': bool, 'pin_memory': bool, 'persistent_workers': bool,
           'dataset': dict, 'sampler': dict | None, 'batch_sampler': dict | None, 'collate_fn': dict | None}
_INNER = {
    'train_dataloader': _LOADER, 'val_dataloader': _LOADER, 'test_dataloader': _LOADER,
    'train_cfg': {'max_epochs': int, 'max_iters': int, 'val_interval': int, 'val_begin': int, 'by_epoch': bool},
    'optim_wrapper': {'optimizer': dict, 'accumulative_counts': int, 'clip_grad': _SECTION},
    'optim_wrapper.clip_grad': {'max_norm': float, 'max_value': float, 'norm_type': float | str, 'clip_value': float},
    'env_cfg': {'cudnn_benchmark': bool, 'mp_cfg': _SECTION, 'dist_cfg': _SECTION},
    'randomness': {'seed': int | None, 'deterministic': bool, 'diff_rank_seed': bool},
    'log_processor': {'window_size': int, 'by_epoch': bool},
    'auto_scale_lr': {'enable': bool, 'base_batch_size': int}}
# least and most of a number, where something else would end in a division by zero, no step or no machine
_RANGES = {
    'train_cfg.max_epochs': (1, None), 'train_cfg.max_iters': (1, None), 'train_cfg.val_interval': (1, None),
    'optim_wrapper.accumulative_counts': (1, None), 'randomness.seed': (0, 2 ** 32 - 1),
    'log_processor.window_size': (1, None), 'auto_scale_lr.base_batch_size': (1, None),
    **{f'{name}_dataloader.batch_size': (1, None) for name in ('train', 'val', 'test')},
    # more processes than any machine has cores for; a million would be its end
    **{f'{name}_dataloader.num_workers': (0, 1024) for name in ('train', 'val', 'test')}}


# given together or not at all
_TOGETHER = {'training': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
             'validation': ('val_dataloader', 'val_cfg', 'val_evaluator'),
             'testing': ('test_dataloader', 'test_cfg', 'test_evaluator')}


def check_config(cfg: Config) -> None:
    """Refuse fields of a kind that nothing can be built from; what is said of components comes from their signatures.

    Args:
        cfg: Config, loaded.

    Raises:
        ConfigError: If a field is of another kind or out of range; the message names file, field and what is expected.
        DataError: If the weights that an ``init_cfg`` names cannot be read.
    """
    source = str(cfg.filename or 'the config')
    if 'model' not in cfg:
        raise ConfigError(f"{source}: field 'model' is missing; train and test with a leaf config, not with one of "
                          'configs/_base_')
    _check_fields(cfg, _FIELDS, source, '')
    for where, fields in _INNER.items():
        first, _, second = where.partition('.')
        section: Any = cfg.get(first)
        if second:
            section = section.get(second) if isinstance(section, Mapping) else None
        if isinstance(section, Mapping):
            _check_fields(section, cast(Mapping[str, Any], fields), source, where)
    for purpose, names in _TOGETHER.items():
        missing = [name for name in names if cfg.get(name) is None]
        if missing and len(missing) < len(names):
            raise ConfigError(f'{source}: field {" and ".join(missing)} is missing or None, {purpose} needs '
                              f'{", ".join(names)}; set all of them, or all to None')
    if cfg.get('optim_wrapper') is not None and not {'optimizer', 'constructor'} & set(cfg.optim_wrapper):
        raise ConfigError(f'{source}: field optim_wrapper.optimizer is missing, expected dict(type=..., lr=...)')
    for i, hook in enumerate(cfg.get('custom_hooks') or ()):
        if not isinstance(hook, (dict, Hook)) or isinstance(hook, dict) and 'type' not in hook:
            raise _wrong(source, f'custom_hooks.{i}', hook, 'dict(type=...)')
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if not isinstance(hook, (dict, Hook, type(None))):
            raise _wrong(source, f'default_hooks.{name}', hook, 'dict(type=...)')
        if isinstance(hook, dict) and 'type' not in hook:
            known = {*RUNNER_HOOKS, *(other for other, value in cfg.default_hooks.items()
                                      if not isinstance(value, dict) or 'type' in value)}
            near = difflib.get_close_matches(name, known, n=3)
            hint = f'did you mean {" or ".join(near)}?' if near else f'there are {", ".join(sorted(known))}'
            raise ConfigError(f'{source}: default_hooks.{name} has no type, and no hook of that name is in the configs '
                              f'below; {hint} A new one is dict(type=...)')
    for name, value in cfg.items():
        _check_components(value, source, name)


def check_purpose(cfg: Config, purpose: str) -> None:
    """Refuse a config that lacks what a run of a purpose (``'training'``, ``'testing'``) is built from.

    Raises:
        ConfigError: If a field is missing; the message names it.
    """
    missing = [name for name in _TOGETHER[purpose] if cfg.get(name) is None]
    if missing:
        raise ConfigError(f"{cfg.filename or 'the config'}: field {' and '.join(missing)} is missing; {purpose} needs "
                          'a leaf config, not one of configs/_base_')


def _check_fields(section: Mapping[str, Any], fields: Mapping[str, Any], source: str, where: str) -> None:
    for name, kind in fields.items():
        path = f'{where}.{name}'.lstrip('.')
        if name not in section or path == 'model' and section[name] == FROM_CHECKPOINT:
            continue
        value = section[name]
        if not fits(value, kind):
            raise _wrong(source, path, value, named(kind))
        least, most = _RANGES.get(path, (None, None))
        if value is not None and least is not None and (value < least or most is not None and value > most):
            raise ConfigError(f'{source}: {path} is {value!r}, expected {least} '
                              + ('or more' if most is None else f'to {most}'))


def _check_components(node: Any, source: str, where: str) -> None:
    """Compare the arguments of every component in a config to its signature."""
    if isinstance(node, Mapping):
        if 'type' in node:
            _check_arguments(node, source, where)
        for name, value in node.items():
            _check_components(value, source, f'{where}.{name}')
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            _check_components(value, source, f'{where}.{i}')


def _check_arguments(node: Mapping[str, Any], source: str, where: str) -> None:
    kind = node['type']
    if not isinstance(kind, str) and not callable(kind):
        raise _wrong(source, f'{where}.type', kind, 'the name of a registered component')
    if kind == 'Pretrained' and isinstance(node.get('checkpoint'), str):
        # mmengine opens it late, and reports no damage
        read_checkpoint(node['checkpoint'])
        if isinstance(node, dict):
            # it knows no names of published weights either
            node['checkpoint'] = str(find_checkpoint(node['checkpoint']))
    candidates = _registered(kind) if isinstance(kind, str) else [kind]
    if not candidates:
        return
    for name, value in node.items():
        kinds = [kinds_of(each).get(name, Any) for each in candidates]
        if name != 'type' and not any(fits(value, one) for one in kinds):
            raise _wrong(source, f'{where}.{name}', value, named(kinds[0]),
                         f'; see the docstring of {kind if isinstance(kind, str) else kind.__name__}')


def _registered(name: str) -> list[Any]:
    """Everything that is registered under a name, of whatever kind."""
    bare = name.removeprefix(f'{registry.SCOPE}.').removeprefix('mmengine.')
    found = []
    for each in vars(registry).values():
        if isinstance(each, registry.Registry):
            each.import_from_location()
            found += [level.module_dict[bare] for level in (each, each.parent) if level and bare in level.module_dict]
    return found


def _wrong(source: str, where: str, value: Any, expected: str, hint: str = '') -> ConfigError:
    return ConfigError(f'{source}: {where} is {str(value)[:100]!r} of type {type(value).__name__}, expected '
                       f'{expected}{hint}')


def check_optimizer(cfg: Config) -> None:
    """Refuse an unknown optimiser, for which mmengine has no message."""
    name = (cfg.get('optim_wrapper') or {}).get('optimizer', {}).get('type')
    if isinstance(name, str) and registry.OPTIMIZERS.get(name) is None:
        raise unknown_type(cfg.filename, name, 'optimizer')


def check_schedule(cfg: Config, logger: MMLogger) -> None:
    """Say so where a learning rate that was meant to fall does not, as the run was made shorter."""
    epochs = (cfg.get('train_cfg') or {}).get('max_epochs', 0)
    branch = cfg.model.get('branch', cfg.model)
    for field in ('mining_epoch', 'cross_epoch'):
        start = cfg.model.get(field, branch.get(field))
        if isinstance(start, int) and epochs <= start:
            logger.warning(f'{field} is {start}, the run ends after {epochs} epochs: what the method does after that '
                           'never begins; set it to fewer epochs than train_cfg.max_epochs')
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]:
        end = max(scheduler.get('milestones') or [scheduler.get('T_max') or 0])
        if scheduler.get('by_epoch', True) and end > epochs:
            field = 'milestones' if 'milestones' in scheduler else 'T_max'
            logger.warning(f'param_scheduler.{field} goes to epoch {end}, the run ends after {epochs}: its learning '
                           f'rate does not fall as meant; set --cfg-options param_scheduler.{field}=... as well')


def check_trainable(runner: Runner) -> None:
    """Refuse a model that has no losses, or whose streams are not made, before the hooks of a method meet it."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    source = runner.cfg.filename or 'the config'
    for branch in model.branches().values() if isinstance(model, BaseAlgorithm) else ():
        kind = type(branch)
        if all(getattr(kind, name) is getattr(BaseAlgorithm, name) for name in ('loss_terms', 'losses', 'train_step')):
            raise ConfigError(f'{source}: model {kind.__name__} is for evaluation and inference, it defines no losses '
                              'to train with; pretrain a method such as ActCLR or MoCo, or use tools/test.py')
        if type(model.data_preprocessor) is BaseDataPreprocessor:
            raise ConfigError(f'{source}: model {kind.__name__} has no data_preprocessor, which makes the views to '
                              'train on; for a classifier on the encoder of a checkpoint see configs/benchmarks/linear '
                              'and finetune, methods to pretrain are ActCLR and MoCo')
    made = getattr(getattr(model, 'data_preprocessor', None), 'streams', None)
    missing = sorted({*model.branches()} - {*made}) if isinstance(model, BaseAlgorithm) and made is not None else []
    if missing:
        raise ConfigError(f'{source}: model.data_preprocessor.streams is {list(made or ())}, the model needs '
                          f'{", ".join(missing)} as well')
