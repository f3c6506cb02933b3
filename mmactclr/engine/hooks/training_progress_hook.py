"""Tells the method where training stands."""
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.registry import HOOKS

from .method import get_method


@HOOKS.register_module()
class TrainingProgressHook(Hook):
    """Hands seed, epoch, iteration and rank to the method before every step.

    Stage, augmentation and dropout are functions of these numbers, so nothing has to be restored
    after a resume.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Pass the numbers on."""
        get_method(runner, 'TrainingProgressHook').set_progress(
            runner.seed, runner.epoch, runner.iter, get_rank())
