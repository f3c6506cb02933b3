"""Watches the actionlet for the ways it can degenerate without an error."""
import math
from collections import Counter, defaultdict
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.registry import HOOKS

# key of a checkpoint
_STATE = 'actionlet_stats'


@HOOKS.register_module()
class ActionletStatsHook(Hook):
    """Logs mean and share above 0.5 of the mask once an epoch and warns when it selects all or nothing.

    Args:
        low: Below this mean or share the mask counts as empty.
        high: Above this mean or share the mask counts as full.
    """

    def __init__(self, low: float = 0.02, high: float = 0.98) -> None:
        self.low, self.high = low, high
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what was counted in this epoch."""
        checkpoint[_STATE] = dict(sums=dict(self._sums), counts=dict(self._counts))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Go on counting."""
        state = checkpoint.get(_STATE, {}) if runner._resume else {}
        self._sums.update(state.get('sums', {}))
        self._counts.update(state.get('counts', {}))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Add the statistics that the step left in its outputs; one step that failed does not hide the others."""
        for name, value in (outputs or {}).items():
            if name.endswith(('mask_mean', 'mask_share')):
                number = float(value)
                finite = math.isfinite(number)
                self._sums[name] += number if finite else 0.0
                self._counts[name] += finite

    def after_train_epoch(self, runner: Runner) -> None:
        """Log the means and start counting anew; warn if one leaves the range."""
        if not self._sums:
            return
        means = {name: total / self._counts[name] if self._counts[name] else math.nan
                 for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        text = ', '.join(f'{name} {value:.3f}' for name, value in means.items())
        runner.logger.info(f'actionlet, epoch {runner.epoch + 1}: {text}')
        for name, value in means.items():
            if not self.low < value < self.high:
                runner.logger.warning(
                    f'actionlet mask is degenerate: {name} is {value:.4f} in epoch {runner.epoch + 1}, expected '
                    f'between {self.low} and {self.high}; a mask of nothing or everything turns stage two into plain '
                    'mining. Check the static anchor, the gradient through the projector and the layout')
