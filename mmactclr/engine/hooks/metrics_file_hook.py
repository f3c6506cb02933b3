"""Writes evaluation results where a script finds them."""
import hashlib
import json
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.registry import HOOKS
from mmactclr.utils import recipe_hash, write_json


@HOOKS.register_module()
class MetricsFileHook(Hook):
    """Writes ``metrics.json`` into the work dir after every validation and test.

    The file holds the newest numbers of each, the epoch they belong to, the seed, the data, the config and a hash of
    what it computes, the checkpoint that the run started from, the protocol of every evaluator and, for every score,
    accuracy by class and calibration error. A training run that starts anew removes that of an older run.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._loaded_epoch: int | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the epoch that a tested checkpoint comes from."""
        self._loaded_epoch = checkpoint.get('meta', {}).get('epoch')

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Forget the numbers of an older run in the same folder, unless this one goes on from it."""
        if runner.iter == 0:
            (Path(runner.work_dir) / 'metrics.json').unlink(missing_ok=True)

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
        content = json.loads(path.read_text()) if path.exists() else {}
        meta = getattr(loop.dataloader.dataset, 'metainfo', {})
        content[mode] = {
            'epoch': epoch, 'seed': runner.seed, 'metrics': metrics,
            'data': {key: meta[key] for key in ('data_root', 'split', 'checksum') if key in meta},
            'config': {'name': Path(runner.cfg.filename).stem if runner.cfg.filename else None,
                       'hash': recipe_hash(runner.cfg)},
            'checkpoint': _source(runner),
            'protocol': [metric.protocol for metric in loop.evaluator.metrics if hasattr(metric, 'protocol')],
            'outcomes': {f'{metric.prefix}/{name}': outcome.summary() for metric in loop.evaluator.metrics
                         for name, outcome in getattr(metric, 'outcomes', {}).items()},
        }
        write_json(path, content)


def _source(runner: Runner) -> dict[str, Any] | None:
    """Name and SHA-256 of the checkpoint that was tested, or that training started from."""
    cfg = runner.cfg
    source = cfg.get('load_from') or (None if cfg.get('from_scratch') else cfg.get('init_from'))
    if not source:
        return None
    # a file for each stream, or one for all
    files = list(source.values()) if isinstance(source, dict) else [source]
    return {'name': ' '.join(Path(file).name for file in files),
            'sha256': ' '.join(_digest(Path(file)) for file in files if Path(file).is_file())}


def _digest(file: Path) -> str:
    with file.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()
