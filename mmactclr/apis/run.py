"""Training and evaluation by config, from Python or from the command line."""
import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

import mmactclr.datasets  # noqa: F401
import mmactclr.engine  # noqa: F401
from mmactclr.engine.checkpoints import (
    FROM_CHECKPOINT,
    ModelCard,
    adopt_card,
    adopt_encoder,
    check_progress,
    check_resumable,
    find_newest,
    read_checkpoint,
    takes_encoder,
)
from mmactclr.engine.data_fit import check_data_fits
from mmactclr.engine.hooks.report_hook import REPORTS
from mmactclr.errors import ConfigError
from mmactclr.plugins import load_plugins
from mmactclr.registry import RUNNERS
from mmactclr.utils import load_config
from mmactclr.utils.overrides import RUNNER_HOOKS
from mmactclr.utils.zoo import find_checkpoint

from .agreement import begin_together
from .build_errors import explain_build_errors, unknown_type
from .claims import claimed
from .config_checks import check_config, check_optimizer, check_purpose, check_schedule, check_trainable
from .faults import check_writable, explain_faults
from .launching import join_group, leave_group, prepare_group
from .reports import draw_reports
from .vis_backends import complete_backends


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
    check_config(cfg)
    if cfg.model == FROM_CHECKPOINT:
        raise ConfigError(f"{cfg.filename or 'the config'}: model='{FROM_CHECKPOINT}' takes the model from the "
                          'checkpoint that tools/test.py evaluates; name a model to train')
    name = cfg.get('runner_type', 'Runner')
    kind = RUNNERS.get(name)
    if not inspect.isclass(kind) or not issubclass(kind, Runner):
        raise unknown_type(cfg.filename, name, 'runner')
    complete_backends(cfg)
    for hook in [name for name, hook in (cfg.get('default_hooks') or {}).items() if hook is None]:
        # mmengine leaves out those of its own that are None, and fails on others
        if hook not in RUNNER_HOOKS:
            del cfg.default_hooks[hook]
    cfg.work_dir = _work_dir(cfg, work_dir)
    cfg.launcher = launcher
    if launcher != 'none':
        prepare_group(cfg, launcher)
    with explain_build_errors(cfg.filename, cfg):
        runner = cast(type[Runner], kind).from_cfg(cfg)
    for plugin in load_plugins():
        # what code a run used belongs to its log
        runner.logger.info(plugin.error or f'plugin {plugin.name}: {plugin.package}')
    return runner


def run_training(config: str | Path | Config, work_dir: str | Path | None = None,
                 resume: str | None = None, amp: bool = False, options: Mapping[str, Any] | None = None,
                 launcher: str = 'none', pictures: bool = False, compile: bool = False) -> Runner:
    """Pretrain; returns the runner after the last epoch.

    Args:
        config: Path or name of a config, or a loaded one.
        work_dir: Folder for logs, checkpoints and ``metrics.json``.
        resume: Checkpoint to go on from, or ``'auto'`` for the newest whole one of ``work_dir``; the run begins where
            there is none.
        amp: Run encoders in bf16.
        options: Overrides by dotted key.
        launcher: How the processes of a distributed run are started.
        pictures: Draw the reports of the evaluation that ends the run.
        compile: Run ``torch.compile`` on the encoders.

    Raises:
        ConfigError: If the config does not fit the data, the hooks or the checkpoint.
        DataError: If data or checkpoint cannot be read.
        RunError: If disk, memory, processes or the numbers of the run fail.
        StoppedRun: If a signal asked the run to stop, after its checkpoint was written; it is a SystemExit.
    """
    cfg = config if isinstance(config, Config) else load_config(config, options)
    check_config(cfg)
    check_purpose(cfg, 'training')
    if amp:
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if compile:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CompileEncoderHook')]
    if cfg.get('resume') and not cfg.get('load_from'):
        # the runner would look for the newest checkpoint by itself, and open it unchecked
        resume = resume or 'auto'
    # what is missing is said before a folder is made
    complete_backends(cfg)
    folder = _work_dir(cfg, work_dir)
    try:
        with explain_faults(folder), ExitStack() as held:
            if launcher != 'none':
                join_group(cfg, launcher)
            begin_together(partial(_choose_checkpoint, cfg, resume, folder, options, held), folder)
            runner = build_runner(cfg, work_dir, launcher=launcher)
            if resume and not cfg.resume:
                runner.logger.warning(f'{runner.work_dir} holds no checkpoint to go on from: training starts from the '
                                      'beginning')
            check_trainable(runner)
            check_schedule(cfg, runner.logger)
            with explain_build_errors(cfg.filename, cfg):
                check_data_fits(runner)
                runner.train()
        if pictures:
            _draw_reports(runner)
    finally:
        leave_group()
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
        RunError: If disk, memory or processes fail.
    """
    cfg = config if isinstance(config, Config) else load_config(config, options)
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
                 'val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[name] = None
    check_config(cfg)
    check_purpose(cfg, 'testing')
    cfg.load_from = str(checkpoint)
    if amp:
        cfg.test_cfg.amp = True
    take_model(cfg, _read_checkpoint(cfg), str(checkpoint), options)
    check_writable(_work_dir(cfg, work_dir), 'Nothing was tested')
    try:
        with explain_faults():
            runner = build_runner(cfg, work_dir, launcher=launcher)
            with explain_build_errors(cfg.filename, cfg):
                metrics = runner.test()
            if pictures:
                _draw_reports(runner)
        return metrics
    finally:
        leave_group()


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


def _choose_checkpoint(cfg: Config, resume: str | None, work_dir: str, options: Mapping[str, Any] | None,
                       held: ExitStack) -> str | None:
    """Find and check what a training reads and where it writes, before anything is built.

    Args:
        cfg: Config, changed in place.
        resume: As in :func:`run_training`.
        work_dir: Folder of the run.
        options: Overrides that the user gave.
        held: What ends with the run: takes the claim of its folder.

    Returns:
        Checkpoint that the run begins with, None if there is none.
    """
    _take_encoder(cfg, options)
    claim = partial(held.enter_context, claimed(work_dir)) if is_main_process() else bool
    existed = Path(work_dir).is_dir()
    if existed:
        # before the newest checkpoint is looked for, which a run that is ending may be about to write
        claim()
    found = find_newest(work_dir) if resume == 'auto' else resume
    if resume:
        cfg.resume = bool(found)
    if found:
        cfg.load_from = str(found)
    _read_checkpoint(cfg)
    check_optimizer(cfg)
    check_writable(work_dir)
    if not existed:
        claim()
    return cfg.get('load_from') or None


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
    # mmengine, which opens it again, knows no names of published weights
    cfg.load_from = source = str(find_checkpoint(source))
    checkpoint = read_checkpoint(source)
    check_progress(checkpoint, source)
    if cfg.get('resume'):
        check_resumable(checkpoint, source)
    return ModelCard.of(checkpoint, source)


__all__ = ['build_runner', 'explain_build_errors', 'run_test', 'run_training']
