"""Evaluates a pretrained encoder beside the baselines that it has to beat."""
import time
from collections.abc import Mapping, Sized
from copy import deepcopy
from typing import Any, cast

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from mmengine.runner import Runner, TestLoop
from torch import nn
from torch.utils.data import DataLoader

from mmactclr.errors import ConfigError
from mmactclr.evaluation import format_table
from mmactclr.registry import LOOPS, MODELS

# seconds between two lines that say how far an evaluation is
_SILENCE = 15


@LOOPS.register_module()
class RepresentationTestLoop(TestLoop):
    """Runs the evaluators on the model and on every baseline, and logs one table.

    Args:
        runner: The runner.
        dataloader: Loader over train (bank) and test (query) sequences.
        evaluator: The evaluators.
        baselines: ``{name: dict(model=..., preparation=...)}``. ``model`` is a config, or ``'untrained'``
            for the run's own model with fresh weights; ``preparation`` replaces the preparation of
            the data for this baseline alone.
        amp: Run encoders in bf16; evaluators get features in full precision.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, evaluator: Any,
                 baselines: Mapping[str, Mapping[str, Any]] | None = None, amp: bool = False) -> None:
        loader_cfg = deepcopy(dataloader) if isinstance(dataloader, Mapping) else None
        super().__init__(runner, dataloader, evaluator)
        self.loader_cfg = loader_cfg
        self.amp = amp
        self.baselines = dict(baselines or {})
        unknown = {key for baseline in self.baselines.values() for key in baseline} - {'model', 'preparation'}
        if unknown:
            raise ConfigError(f"RepresentationTestLoop: baselines have unknown keys {sorted(unknown)}, expected "
                              "'model' and 'preparation'")

    def run(self) -> dict[str, float]:
        """Evaluate; returns ``{metric: value}`` for the model and ``{baseline/metric: value}`` beside it."""
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        rows = {}
        for name, baseline in self.baselines.items():
            self.runner.logger.info(f'evaluating {name}')
            rows[name] = self._evaluate(self._baseline_model(baseline['model']),
                                        self._baseline_loader(baseline))
        self.runner.logger.info('evaluating this checkpoint')
        metrics = self._evaluate(self.runner.model, self.dataloader, hooks=True)
        rows['this checkpoint'] = metrics
        if any(rows.values()):
            self.runner.logger.info('accuracy in %\n' + format_table(rows))
        joined = {f'{name}/{metric}': value for name, row in rows.items() if name in self.baselines
                  for metric, value in row.items()}
        metrics = {**metrics, **joined}
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    @torch.no_grad()
    def _evaluate(self, model: BaseModel, dataloader: DataLoader, hooks: bool = False) -> dict[str, float]:
        model.eval()
        last, done, total = time.monotonic(), 0, len(cast(Sized, dataloader.dataset))
        for index, batch in enumerate(dataloader):
            if time.monotonic() - last > _SILENCE:
                last = time.monotonic()
                self.runner.logger.info(f'  {done} of {total} sequences')
            done += len(batch['index']) * get_world_size()
            if hooks:
                self.runner.call_hook('before_test_iter', batch_idx=index, data_batch=batch)
            with torch.autocast(next(self.runner.model.parameters()).device.type, torch.bfloat16, enabled=self.amp):
                outputs = model.test_step(batch)
            self.evaluator.process(data_samples=outputs, data_batch=batch)
            if hooks:
                self.runner.call_hook('after_test_iter', batch_idx=index, data_batch=batch, outputs=outputs)
        return self.evaluator.evaluate(total)

    def _baseline_model(self, model: Any) -> nn.Module:
        device = next(self.runner.model.parameters()).device
        if model != 'untrained':
            return MODELS.build(dict(model)).to(device)
        # built from its config: a copy of the trained model would keep what has no reset of its own
        # and moved before it is initialised, as the runner does: another device draws other numbers
        built = MODELS.build(self.runner.cfg['model']).to(device)
        built.init_weights()
        return built

    def _baseline_loader(self, baseline: Mapping[str, Any]) -> DataLoader:
        if 'preparation' not in baseline:
            return self.dataloader
        if self.loader_cfg is None:
            raise ConfigError('RepresentationTestLoop: a baseline with its own preparation needs test_dataloader as a '
                              'config, a built DataLoader was given')
        cfg = deepcopy(self.loader_cfg)
        cfg['dataset']['preparation'] = baseline['preparation']
        return self.runner.build_dataloader(cfg, seed=self.runner.seed)
