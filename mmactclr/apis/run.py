"""Training and evaluation by config, from Python or from the command line."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmactclr.datasets  # noqa: F401
import mmactclr.engine  # noqa: F401
from mmactclr.errors import DataError
from mmactclr.registry import RUNNERS
from mmactclr.utils import load_config


def build_runner(config: str | Path | Config, work_dir: str | Path | None = None,
                 options: Mapping[str, Any] | None = None, launcher: str = 'none') -> Runner:
    """Build the mmengine Runner of a config.

    Args:
        config: Path or name of a config, or a loaded one.
        work_dir: Folder for everything the run writes; default ``work_dirs/CONFIG``.
        options: Overrides by dotted key.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ConfigError: If the config does not exist or does not fit the data.
        DataError: If the data cannot be read.
    """
    if isinstance(config, Config):
        cfg = config
    else:
        cfg = load_config(config, options)
    name = Path(cfg.filename).stem if cfg.filename else 'run'
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or Path('work_dirs') / name)
    cfg.launcher = launcher
    if launcher == 'pytorch' and not torch.cuda.is_available():
        _init_gloo()
    return RUNNERS.get(cfg.get('runner_type', 'Runner')).from_cfg(cfg)


def run_training(config: str | Path | Config, work_dir: str | Path | None = None,
                 resume: str | None = None, amp: bool = False, options: Mapping[str, Any] | None = None,
                 launcher: str = 'none') -> Runner:
    """Pretrain; returns the runner after the last epoch.

    Args:
        config: Path or name of a config, or a loaded one.
        work_dir: Folder for logs, checkpoints and ``metrics.json``.
        resume: Checkpoint to go on from, or ``'auto'`` for the newest one of ``work_dir``.
        amp: Run encoders in bf16.
        options: Overrides by dotted key.
        launcher: How the processes of a distributed run are started.
    """
    cfg = config if isinstance(config, Config) else load_config(config, options)
    if amp:
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if resume:
        cfg.resume = True
        if resume != 'auto':
            cfg.load_from = str(require_file(resume, 'checkpoint to resume'))
    runner = build_runner(cfg, work_dir, launcher=launcher)
    try:
        runner.train()
    finally:
        _leave_group()
    return runner


def run_test(config: str | Path | Config, checkpoint: str | Path, work_dir: str | Path | None = None,
             options: Mapping[str, Any] | None = None, launcher: str = 'none') -> dict[str, float]:
    """Evaluate a checkpoint and the baselines of the config; returns accuracies in percent by name."""
    cfg = config if isinstance(config, Config) else load_config(config, options)
    cfg.load_from = str(require_file(checkpoint, 'checkpoint'))
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
                 'val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[name] = None
    runner = build_runner(cfg, work_dir, launcher=launcher)
    try:
        return runner.test()
    finally:
        _leave_group()


def require_file(path: str | Path, what: str) -> Path:
    """The path, if it is a readable file.

    Raises:
        DataError: If it is not.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob('*.pth')) if path.parent.is_dir() else []
        hint = f'; that folder holds {", ".join(near)}' if near else ''
        raise DataError(f'{what} {str(path)!r} does not exist{hint}')
    return path


def _init_gloo() -> None:
    # mmengine's launcher calls torch.cuda; with a group in place it skips its own set-up
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')


def _leave_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


__all__ = ['build_runner', 'require_file', 'run_test', 'run_training']
