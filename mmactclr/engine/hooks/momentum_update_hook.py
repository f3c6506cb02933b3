"""Moves the key encoder after every optimiser step."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.errors import ConfigError
from mmactclr.registry import HOOKS

from .method import get_branches


@HOOKS.register_module()
class MomentumUpdateHook(Hook):
    """f_k <- a f_k + (1 - a) f_q, and g_k likewise, in every branch, whenever the optimiser stepped.

    Args:
        momentum: a, between 0 (copy) and 1 (frozen key encoder).

    Raises:
        ConfigError: If ``momentum`` lies outside [0, 1].
    """

    priority = 'HIGH'

    def __init__(self, momentum: float = 0.999) -> None:
        if not 0.0 <= momentum <= 1.0:
            raise ConfigError(f'MomentumUpdateHook: momentum is {momentum}, expected a value in [0, 1]')
        self.momentum = momentum
        self._scale: float | None = None

    def before_train(self, runner: Runner) -> None:
        """Note the loss scale, where there is one."""
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        self._scale = None if scaler is None else scaler.get_scale()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Update the key encoders, unless gradients are still being accumulated or overflowed."""
        stepped = runner.optim_wrapper.should_update() and not self._overflowed(runner)
        for branch in get_branches(runner, 'MomentumUpdateHook', 'momentum_due'):
            if stepped and branch.momentum_due:
                branch.momentum_update(self.momentum)
            branch.momentum_due = False

    def _overflowed(self, runner: Runner) -> bool:
        """Whether the scaler of an fp16 run found infinite gradients and left the step out: it lowers its scale."""
        if self._scale is None:
            return False
        before, self._scale = self._scale, runner.optim_wrapper.loss_scaler.get_scale()
        return self._scale < before
