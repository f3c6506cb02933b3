"""Writes evaluation results where a script finds them."""
import json
import logging
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmactclr.datasets.archive_format import file_sha256
from mmactclr.registry import HOOKS
from mmactclr.utils import recipe_hash, write_json

# key of the meta data of a checkpoint
_SOURCE = 'started_from'


@HOOKS.register_module()
class MetricsFileHook(Hook):
    """Writes ``metrics.json`` into the work dir after every validation and test.

    The file holds the newest numbers of each, the epoch they belong to, the seed, the data, the config and a hash of
    what it computes, the checkpoint that the run started from, the protocol of every evaluator, how a training was
    done and, for every score, accuracy by class and calibration error. A training run that starts anew removes that of
    an older run, one that goes on the test of an earlier epoch.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._loaded_epoch: int | None = None
        self._source: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the epoch that a tested checkpoint comes from, and what a run that goes on had started from."""
        meta = checkpoint.get('meta', {})
        self._loaded_epoch = meta.get('epoch')
        if runner._train_loop is not None and runner._resume:
            self._source = meta.get(_SOURCE)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the run started from."""
        checkpoint['meta'][_SOURCE] = self._source

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Forget the numbers of an older run in the same folder, unless this one goes on from it."""
        path = Path(runner.work_dir) / 'metrics.json'
        if runner.iter == 0:
            path.unlink(missing_ok=True)
        elif path.exists() and runner.epoch < runner.max_epochs:
            # a test of an earlier epoch would stand beside newer validations
            write_json(path, {mode: result for mode, result in _read(path).items() if mode != 'test'})
        self._remember(runner)

    def before_test(self, runner: Runner) -> None:
        """Look at the checkpoint while it is there."""
        self._remember(runner)

    def _remember(self, runner: Runner) -> None:
        if self._source is None:
            self._source = source_of(runner.cfg)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the newest validation."""
        self._write(runner, 'val', metrics, runner.val_loop, runner.epoch)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the test."""
        epoch = self._loaded_epoch if runner._train_loop is None else runner.epoch
        self._write(runner, 'test', metrics, runner.test_loop, epoch)

    @master_only
    def _write(self, runner: Runner, mode: str, metrics: dict[str, float] | None, loop: Any,
               epoch: int | None) -> None:
        if metrics is None:
            return
        path = Path(runner.work_dir) / 'metrics.json'
        content = _read(path)
        meta = getattr(loop.dataloader.dataset, 'metainfo', {})
        content[mode] = {
            'epoch': epoch, 'seed': runner.seed, 'metrics': metrics,
            'data': {key: meta[key] for key in ('data_root', 'split', 'checksum') if key in meta},
            'config': {'name': Path(runner.cfg.filename).stem if runner.cfg.filename else None,
                       'hash': recipe_hash(runner.cfg)},
            'checkpoint': self._source,
            **({'training': training_of(runner)} if mode == 'val' else {}),
            'protocol': [metric.protocol for metric in loop.evaluator.metrics if hasattr(metric, 'protocol')],
            'outcomes': {f'{metric.prefix}/{name}': outcome.summary() for metric in loop.evaluator.metrics
                         for name, outcome in getattr(metric, 'outcomes', {}).items()},
        }
        write_json(path, content)


def _read(path: Path) -> dict[str, Any]:
    """What a run wrote before; a file that is damaged is put aside, as numbers of hours wait to be written."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(content, dict):
            return content
        reason = f'it holds a {type(content).__name__}'
    except (ValueError, RecursionError) as error:
        reason = f'{type(error).__name__}: {error}'
    aside = path.with_name(f'{path.name}.damaged')
    os.replace(path, aside)
    print_log(f'{path} is damaged ({reason}), it lies in {aside.name} now and is begun anew', logger='current',
              level=logging.WARNING)
    return {}


def source_of(cfg: Config) -> dict[str, Any] | None:
    """Name and SHA-256 of the checkpoint that is tested, or whose encoder training started from."""
    given = None if cfg.get('from_scratch') else cfg.get('init_from')
    # a run that goes on is still one of what it started from
    source = given if cfg.get('resume') else cfg.get('load_from') or given
    if not source:
        return None
    # a file for each stream, or one for all
    files = [Path(file) for file in (source.values() if isinstance(source, dict) else [source])]
    digests = [file_sha256(file) if file.is_file() else 'missing' for file in files]
    return {'name': ' '.join(file.name for file in files), 'sha256': ' '.join(digests)}


def training_of(runner: Runner) -> dict[str, Any]:
    """What was trained, and how: recipe, frozen or not, number of sequences, which labels."""
    cfg, dataset = runner.cfg, runner.train_dataloader.dataset
    model = cfg.model.get('branch', cfg.model)
    subset = getattr(dataset, 'metainfo', {}).get('label_subset')
    return {
        'model': cfg.model.type if model is cfg.model else f'{cfg.model.type} of {model.type}',
        'frozen': bool(model.get('frozen', False)), 'from_scratch': bool(cfg.get('from_scratch', False)),
        'fusion': dict(cfg.model.get('fusion') or {}), 'epochs': runner.max_epochs,
        'batch_size': cfg.train_dataloader.get('batch_size'), 'sequences': len(dataset),
        'label_subset': subset if isinstance(subset, (dict, type(None))) else {'file': Path(subset).name},
        'optimizer': cfg.optim_wrapper.get('optimizer'), 'schedule': cfg.get('param_scheduler')}
