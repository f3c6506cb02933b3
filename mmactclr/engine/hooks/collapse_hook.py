"""Watches features and masks for the ways they can collapse without an error."""
import logging
import math
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from mmactclr.errors import ConfigError, RunError
from mmactclr.registry import HOOKS

from .method import get_method


def spread(embeddings: Tensor) -> float:
    """How far embeddings (N, D) of unit length lie apart: 1 evenly on the sphere, 0 in one point.

    The root of the summed variance of their coordinates, which is sqrt(D) times the standard deviation that Chen & He
    (SimSiam, CVPR 2021, section 4.1) watch, and sqrt(1 - c) with c the mean cosine of all pairs.
    """
    return float(embeddings.var(0, correction=0).sum().clamp_min(0).sqrt())


def effective_rank(embeddings: Tensor) -> float:
    """exp of the entropy of the normalised singular values of (N, D): 1 for one direction, up to min(N, D).

    RankMe, Garrido et al., ICML 2023, Eq. 1 and 2, after Roy & Vetterli, EUSIPCO 2007. From the eigenvalues of the
    D x D matrix of products, in double precision.
    """
    values = embeddings.double()
    singular = torch.linalg.eigvalsh(values.T @ values).clamp_min(0).sqrt()
    share = singular / singular.sum()
    share = share[share > 0]
    return float((-(share * share.log()).sum()).exp())


@HOOKS.register_module()
class CollapseHook(Hook):
    """Logs spread and effective rank of the keys in the memory, and warns once where they or the masks collapse.

    The thresholds. A spread of 0.1 is a mean cosine of 0.99 between two sequences. With the temperature 0.07 the
    logits of an InfoNCE loss then differ by 0.14 on average, no more than noise: nothing tells the positive from the
    negatives. A rank below 2 means that less than two directions are used, so that at most two kinds of motion can be
    told apart. Encoders that begin with nearly equal features are given ``begin`` epochs.

    A mask of an actionlet that is all zero or all one in every sequence of a step turns stage two into plain mining.

    Args:
        interval: Steps between measurements.
        begin: Epochs without a warning.
        min_spread: Spread below which features count as collapsed, between 0 and 1.
        min_rank: Effective rank below which they do.
        stop: End the run where it would warn.

    Raises:
        ConfigError: If an argument is out of range.
    """

    def __init__(self, interval: int = 200, begin: int = 5, min_spread: float = 0.1, min_rank: float = 2.0,
                 stop: bool = False) -> None:
        if interval < 1 or begin < 0 or not 0 <= min_spread < 1 or min_rank < 1:
            raise ConfigError(f'CollapseHook: interval is {interval}, begin {begin}, min_spread {min_spread} and '
                              f'min_rank {min_rank}, expected 1 or more, 0 or more, from 0 to 1, 1 or more')
        self.interval, self.begin, self.stop = interval, begin, stop
        self.min_spread, self.min_rank = min_spread, min_rank
        self._warned: set[str] = set()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Measure, every ``interval`` steps.

        Raises:
            RunError: If something collapsed and the config says to stop.
        """
        if not self.every_n_train_iters(runner, self.interval):
            return
        branches = get_method(runner, 'CollapseHook').branches()
        scalars = {}
        for stream, branch in branches.items():
            memory = getattr(branch, 'memory', None)
            keys = memory.valid() if memory is not None else None
            if keys is None or len(keys) < 2:
                continue
            prefix = f'{stream}.' if len(branches) > 1 else ''
            scalars[f'{prefix}features/spread'] = spread(keys)
            scalars[f'{prefix}features/rank'] = effective_rank(keys)
        if scalars:
            runner.message_hub.update_scalars(scalars)
            text = ', '.join(f'{name.replace("features/", "")} {value:.3f}' for name, value in scalars.items())
            runner.logger.info(f'features in the memory, iteration {runner.iter + 1}: {text}')
            if is_main_process():
                runner.visualizer.add_scalars(scalars, step=runner.iter)
        if runner.epoch >= self.begin:
            self._judge(runner, scalars)
        self._judge_masks(runner, outputs or {})

    def _judge(self, runner: Runner, scalars: dict[str, float]) -> None:
        for name, value in scalars.items():
            limit = self.min_spread if name.endswith('spread') else self.min_rank
            # not <, which is false for what is no number
            if not value >= limit:
                self._warn(name, f'the features collapse: {name} is {value:.3f} at iteration {runner.iter + 1} (epoch '
                                 f'{runner.epoch + 1}), expected {limit} or more. Nearly all sequences look alike to '
                                 'the encoder; lower optim_wrapper.optimizer.lr, check the augmentation and the '
                                 'temperature of the loss')

    def _judge_masks(self, runner: Runner, outputs: dict[str, Any]) -> None:
        for name, value in outputs.items():
            if name.endswith('mask_mean') and math.isfinite(share := float(value)) and share in (0.0, 1.0):
                what = 'nothing' if share == 0 else 'everything'
                self._warn(name, f'the actionlet selects {what}: {name} is {share:.0f} at iteration {runner.iter + 1} '
                                 f'(epoch {runner.epoch + 1}), which turns stage two into plain mining; check the '
                                 'static anchor and the layout')

    def _warn(self, name: str, text: str) -> None:
        if self.stop:
            raise RunError(f'{text}. The run is stopped (CollapseHook, stop=True)')
        if name not in self._warned:
            self._warned.add(name)
            print_log(text, logger='current', level=logging.WARNING)
