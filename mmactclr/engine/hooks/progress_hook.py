"""A progress bar for people who watch, silence for log files."""
import errno
import sys
import time
from collections import deque
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.registry import HOOKS


def format_duration(seconds: float) -> str:
    """Seconds as ``h:mm:ss`` or ``m:ss``."""
    minutes, seconds = divmod(int(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'


# steps that the loss on the line is the mean of
_WINDOW = 20


@HOOKS.register_module()
class ProgressHook(Hook):
    """One line that shows epoch, loss, learning rate and the time left of the whole run.

    On a terminal the line is redrawn; elsewhere one line is printed about every ``interval`` seconds.

    Args:
        interval: Seconds between lines when the output is not a terminal.
        width: Characters of the bar.
    """

    priority = 'LOW'

    def __init__(self, interval: float = 15.0, width: int = 24) -> None:
        self.interval, self.width = interval, width
        self._losses: deque[Any] = deque(maxlen=_WINDOW)
        self._started = self._printed = 0.0
        self._first_iter = 0

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._started = self._printed = time.monotonic()
        self._first_iter = runner.iter

    @master_only
    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Redraw the line."""
        if outputs and 'loss' in outputs:
            # kept as tensors: reading each would wait for the GPU at every step
            self._losses.append(outputs['loss'])
        now = time.monotonic()
        terminal = sys.stdout.isatty()
        done, total = runner.iter + 1, runner.max_iters
        if done < total and now - self._printed < (0.2 if terminal else self.interval):
            return
        self._printed = now
        left = (now - self._started) / max(1, done - self._first_iter) * (total - done)
        filled = round(self.width * done / total)
        lr = runner.optim_wrapper.param_groups[0]['lr']
        losses = [float(loss) for loss in self._losses]
        loss = f' loss {sum(losses) / len(losses):.3f}' if losses else ''
        line = (f'[{"#" * filled}{"-" * (self.width - filled)}] epoch {runner.epoch + 1}/{runner.max_epochs}'
                f'{loss} lr {lr:.4g} left {format_duration(left)}')
        try:
            if terminal:
                end = '\n' if done >= total else ''
                print(f'\r{line:<100}', end=end, flush=True)
            else:
                print(line, flush=True)
        except OSError as error:
            # the terminal is closed, and SIGHUP on its way: what it leads to should not depend on which comes first
            if error.errno != errno.EIO:
                raise
