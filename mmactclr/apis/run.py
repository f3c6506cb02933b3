"""Training and evaluation by config, from Python or from the command line."""
import difflib
import os
import re
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.model import BaseDataPreprocessor, is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint

import mmactclr.datasets  # noqa: F401
import mmactclr.engine  # noqa: F401
from mmactclr import registry
from mmactclr.engine.checkpoints import (
    FROM_CHECKPOINT,
    ModelCard,
    adopt_card,
    adopt_encoder,
    read_checkpoint,
    takes_encoder,
)
from mmactclr.engine.hooks.report_hook import REPORTS
from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm
from mmactclr.registry import RUNNERS
from mmactclr.utils import load_config

from .reports import draw_reports
from .vis_backends import complete_backends

# seconds that processes wait for each other; one of them alone scores the features of a whole data set
_PATIENCE = 7200


def build_runner(config: str | Path | Config, work_dir: str | Path | None = None,
                 options: Mapping[str, Any] | None = None, launcher: str = 'none') -> Runner:
    """Build the mmengine Runner of a config.

    Args:
        config: Path or name of a config, or a loaded one.
        work_dir: Folder for everything the run writes; default ``work_dirs/CONFIG``.
        options: Overrides by dotted key.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``. All but the first wrap the model in
            :class:`~mmactclr.engine.DistributedMethod`.

    Raises:
        ConfigError: If the config does not exist or does not fit the data, or the process was not
            started by ``launcher``.
        DataError: If the data cannot be read.
    """
    if isinstance(config, Config):
        cfg = config
    else:
        cfg = load_config(config, options)
    if 'model' not in cfg:
        raise ConfigError(f"{cfg.filename or 'the config'}: field 'model' is missing; train and test with a leaf "
                          'config, not with one of configs/_base_')
    if cfg.model == FROM_CHECKPOINT:
        raise ConfigError(f"{cfg.filename or 'the config'}: model='{FROM_CHECKPOINT}' takes the model from the "
                          'checkpoint that tools/test.py evaluates; name a model to train')
    complete_backends(cfg)
    cfg.work_dir = _work_dir(cfg, work_dir)
    cfg.launcher = launcher
    if launcher != 'none':
        _prepare_group(cfg, launcher)
    with explain_build_errors(cfg.filename):
        return RUNNERS.get(cfg.get('runner_type', 'Runner')).from_cfg(cfg)


def run_training(config: str | Path | Config, work_dir: str | Path | None = None,
                 resume: str | None = None, amp: bool = False, options: Mapping[str, Any] | None = None,
                 launcher: str = 'none', pictures: bool = False, compile: bool = False) -> Runner:
    """Pretrain; returns the runner after the last epoch.

    Args:
        config: Path or name of a config, or a loaded one.
        work_dir: Folder for logs, checkpoints and ``metrics.json``.
        resume: Checkpoint to go on from, or ``'auto'`` for the newest one of ``work_dir``.
        amp: Run encoders in bf16.
        options: Overrides by dotted key.
        launcher: How the processes of a distributed run are started.
        pictures: Draw the reports of the evaluation that ends the run.
        compile: Run ``torch.compile`` on the encoders.

    Raises:
        ConfigError: If the config does not fit the data, the hooks or the checkpoint.
        DataError: If data or checkpoint cannot be read.
    """
    cfg = config if isinstance(config, Config) else load_config(config, options)
    _take_encoder(cfg, options)
    if amp:
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if compile:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CompileEncoderHook')]
    if resume:
        cfg.resume = True
        cfg.load_from = find_latest_checkpoint(_work_dir(cfg, work_dir)) if resume == 'auto' else str(resume)
    _read_checkpoint(cfg)
    _check_optimizer(cfg)
    _check_epochs(cfg)
    try:
        runner = build_runner(cfg, work_dir, launcher=launcher)
        _check_trainable(runner)
        _check_schedule(cfg, runner.logger)
        with explain_build_errors(cfg.filename):
            _check_batches(runner)
            runner.train()
        if pictures:
            _draw_reports(runner)
    finally:
        _leave_group()
    return runner


def run_test(config: str | Path | Config, checkpoint: str | Path, work_dir: str | Path | None = None,
             options: Mapping[str, Any] | None = None, launcher: str = 'none',
             pictures: bool = False, amp: bool = False) -> dict[str, float]:
    """Evaluate a checkpoint and the baselines of the config; returns accuracies in percent by name.

    A config with ``model='checkpoint'`` evaluates whatever the checkpoint holds: model, layout, num_frames,
    max_persons and preparation are those of its model card. A field that ``options`` name stays as they say.

    Args:
        config: Path or name of a config, or a loaded one.
        checkpoint: Checkpoint to evaluate.
        work_dir: Folder for the log and ``metrics.json``.
        options: Overrides by dotted key.
        launcher: How the processes of a distributed run are started.
        pictures: Draw the reports.
        amp: Run encoders in bf16.

    Raises:
        ConfigError: If the config does not fit the data or the checkpoint, or the checkpoint has no card though
            the model is to be taken from it.
        DataError: If data or checkpoint cannot be read.
    """
    cfg = config if isinstance(config, Config) else load_config(config, options)
    cfg.load_from = str(checkpoint)
    if amp:
        cfg.test_cfg.amp = True
    take_model(cfg, _read_checkpoint(cfg), str(checkpoint), options)
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
                 'val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[name] = None
    try:
        runner = build_runner(cfg, work_dir, launcher=launcher)
        with explain_build_errors(cfg.filename):
            metrics = runner.test()
        if pictures:
            _draw_reports(runner)
        return metrics
    finally:
        _leave_group()


def _draw_reports(runner: Runner) -> None:
    """Draw what the run has tables of, if it has any."""
    if is_main_process() and (Path(runner.work_dir) / REPORTS).is_dir():
        pictures = draw_reports(runner.work_dir)
        runner.logger.info(f'{len(pictures)} pictures: {pictures[0].parent}')


def _take_encoder(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Fill a config that trains on the encoder of a checkpoint from the card of that checkpoint.

    Raises:
        ConfigError: If no checkpoint is named, or it has no card.
    """
    if not takes_encoder(cfg):
        return
    source = cfg.get('init_from')
    if not isinstance(source, str) or not source:
        raise ConfigError(f"{cfg.filename}: the encoder is that of a checkpoint; name it: --cfg-options "
                          'init_from=CKPT (of several files, join them first: tools/model_converters/streams.py)')
    card = ModelCard.of(read_checkpoint(source), source)
    if card is None:
        raise ConfigError(f'init_from={source!r}: the checkpoint has no model card, which says what its encoder is; '
                          'public weights are converted first: tools/model_converters/official_to_mmactclr.py')
    adopt_encoder(cfg, card, source, explicit=options or ())


def take_model(cfg: Config, card: ModelCard | None, source: str, options: Mapping[str, Any] | None = None) -> None:
    """Fill a config with ``model='checkpoint'`` from the card of a checkpoint; leaves others as they are.

    Args:
        cfg: Config, changed in place.
        card: Card of the checkpoint.
        source: Name of the checkpoint, for messages.
        options: Overrides that the user gave; their fields stay.

    Raises:
        ConfigError: If the checkpoint has no card.
    """
    if cfg.get('model') != FROM_CHECKPOINT and not takes_encoder(cfg):
        return
    if card is None:
        raise ConfigError(f"checkpoint {source!r} has no model card, which model='{FROM_CHECKPOINT}' needs; use the "
                          'config it was trained with')
    adopt_card(cfg, card, source, explicit=options or ())


@contextmanager
def explain_build_errors(source: str | Path | None) -> Iterator[None]:
    """Turn mmengine's errors for an unknown ``type`` or a wrong argument into ones that say what to do.

    Args:
        source: File of the config, for the message.

    Raises:
        ConfigError: In place of the KeyError or TypeError that building a component raised.
    """
    try:
        yield
    except KeyError as error:
        unknown = re.match(r"(\S+) is not in the \S+::(.+?) registry", str(error.args[0]) if error.args else '')
        if not unknown:
            raise
        raise unknown_type(source, *unknown.groups()) from error
    except TypeError as error:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        # the call itself failed, not something that the component did
        if not {'build_from_cfg', 'build_dataloader'} & set(frames) \
                or frames[-1] not in ('build_from_cfg', 'build_dataloader', '__init__') \
                or not re.search(r'unexpected keyword argument|missing \d+ required', str(error)):
            raise
        raise ConfigError(f'{source or "config"}: {error}; see the arguments in its docstring') from error


def unknown_type(source: str | Path | None, name: str, kind: str) -> ConfigError:
    """The error for a ``type`` that no registry of a kind (``model``, ``hook``, ...) knows."""
    registries = [value for value in vars(registry).values()
                  if isinstance(value, registry.Registry) and value.name == kind]
    known = {key for each in registries for level in (each, each.parent) if level for key in level.module_dict}
    near = difflib.get_close_matches(name, known, n=3)
    hint = f' (close to {", ".join(near)})' if near else ''
    return ConfigError(
        f'{source or "config"}: type {name!r} is not registered as {kind}{hint}; correct the name, or import the file '
        "that registers it: custom_imports=dict(imports=['my_module']) in the config, its folder on PYTHONPATH")


def _check_optimizer(cfg: Config) -> None:
    """Refuse an unknown optimiser, for which mmengine has no message."""
    name = cfg.get('optim_wrapper', {}).get('optimizer', {}).get('type')
    if isinstance(name, str) and registry.OPTIMIZERS.get(name) is None:
        raise unknown_type(cfg.filename, name, 'optimizer')


def _check_epochs(cfg: Config) -> None:
    """Refuse a run without an epoch, over which no learning rate can be scheduled."""
    epochs = (cfg.get('train_cfg') or {}).get('max_epochs', 1)
    if not isinstance(epochs, int) or epochs < 1:
        raise ConfigError(f'train_cfg.max_epochs is {epochs!r}, expected 1 or more')


def _check_schedule(cfg: Config, logger: MMLogger) -> None:
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


def _work_dir(cfg: Config, work_dir: str | Path | None) -> str:
    name = Path(cfg.filename).stem if cfg.filename else 'run'
    return str(work_dir or cfg.get('work_dir') or Path('work_dirs') / name)


def _read_checkpoint(cfg: Config) -> ModelCard | None:
    """Read a checkpoint once before anything is built, and its card.

    Raises:
        ConfigError: If it is an address: mmengine would unpickle whatever lies there.
    """
    source = cfg.get('load_from')
    if not source:
        return None
    if ':' in str(source).split('/')[0]:
        raise ConfigError(f'checkpoint {source!r} is an address; download the file first and name it, so that it can '
                          'be read without executing anything in it')
    checkpoint = read_checkpoint(source)
    if cfg.get('resume'):
        _check_resumable(checkpoint, source)
    return ModelCard.of(checkpoint, source)


def _check_resumable(checkpoint: Mapping[str, Any], source: str) -> None:
    """Refuse to go on from a file of weights alone."""
    meta = checkpoint.get('meta')
    progress = [meta.get(name) for name in ('epoch', 'iter')] if isinstance(meta, Mapping) else []
    if not progress or not all(isinstance(value, int) for value in progress) \
            or not isinstance(checkpoint.get('message_hub'), Mapping):
        raise ConfigError(f'checkpoint {source!r} does not say where its training stood (epoch, iter, message_hub), so '
                          f'it cannot go on; start a new run from its weights: --cfg-options load_from={source}')


def _check_trainable(runner: Runner) -> None:
    """Refuse a model that has no losses, before the hooks of a method meet it."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for branch in model.branches().values() if isinstance(model, BaseAlgorithm) else ():
        kind = type(branch)
        if all(getattr(kind, name) is getattr(BaseAlgorithm, name) for name in ('loss_terms', 'losses', 'train_step')):
            raise ConfigError(f'model {kind.__name__} is for evaluation and inference, it defines no losses to train '
                              'with; pretrain a method such as ActCLR or MoCo, or use tools/test.py')
        if type(model.data_preprocessor) is BaseDataPreprocessor:
            raise ConfigError(f'model {kind.__name__} has no data_preprocessor, which makes the views to train on; for '
                              'a classifier on the encoder of a checkpoint see configs/benchmarks/linear and '
                              'finetune, methods to pretrain are ActCLR and MoCo')


def _check_batches(runner: Runner) -> None:
    """Refuse an epoch without a step, which would end in a checkpoint of random weights."""
    loader = runner.train_dataloader
    if len(loader) == 0:
        raise ConfigError(
            f'train_dataloader: {len(loader.dataset)} training sequences make no full batch of batch_size='
            f'{loader.batch_size} with drop_last={loader.drop_last}; set train_dataloader.batch_size to at most '
            f'{len(loader.dataset)} per process')


def _prepare_group(cfg: Config, launcher: str) -> None:
    """Choose the model wrapper and, where there are no GPUs, form the group of processes."""
    wrapper = cfg.get('model_wrapper_cfg') or {}
    if 'type' not in wrapper:
        # the scope is named, as mmengine looks the wrapper up in its own registry
        cfg.model_wrapper_cfg = {
            'type': 'mmactclr.DistributedMethod',
            'find_unused_parameters': cfg.get('find_unused_parameters', False), **wrapper}
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {}).setdefault('timeout', _PATIENCE)
    if launcher != 'pytorch' or torch.distributed.is_initialized():
        return
    if not {'RANK', 'WORLD_SIZE', 'LOCAL_RANK'} <= set(os.environ):
        raise ConfigError('--launcher pytorch: this process was not started by torchrun (RANK is not set); use '
                          'bash tools/dist_train.sh CONFIG GPUS or bash tools/dist_test.sh CONFIG CKPT GPUS')
    gpus = torch.cuda.device_count()
    if not gpus:
        # mmengine would ask for GPUs; with a group in place it skips its own set-up
        timeout = timedelta(seconds=cfg.env_cfg.dist_cfg.timeout)
        torch.distributed.init_process_group('gloo', timeout=timeout)
    elif int(os.environ['LOCAL_RANK']) >= gpus:
        raise ConfigError(f'process {os.environ["LOCAL_RANK"]} of this machine (counted from 0) has no GPU: there are '
                          f'{gpus}; start at most as many processes, or set CUDA_VISIBLE_DEVICES to nothing '
                          'to run on the CPU')


def _leave_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        # a thread of gloo frees the tensors of the last exchange, and aborts the process if Python ends before it did
        time.sleep(0.5)


__all__ = ['build_runner', 'explain_build_errors', 'run_test', 'run_training']
