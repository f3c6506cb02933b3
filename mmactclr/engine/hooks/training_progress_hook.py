"""Tells the method where training stands."""
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.errors import ConfigError
from mmactclr.registry import HOOKS

from .method import get_method

# key of a checkpoint
_LOGGED = 'logged_scalars'


@HOOKS.register_module()
class TrainingProgressHook(Hook):
    """Hands seed, epoch, iteration and rank to the method before every step.

    Stage, augmentation and dropout are functions of these numbers, so nothing has to be restored
    after a resume. Numbers of a stage that is over leave the log.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Check that the stages of a method with stages fill the run.

        Raises:
            ConfigError: If they do not add up to the epochs of the training loop.
        """
        method = get_method(runner, 'TrainingProgressHook')
        for branch in method.branches().values():
            stages = getattr(branch, 'stage_epochs', None)
            if stages is None or sum(stages) == runner.max_epochs:
                continue
            field = 'model.stage_epochs' if branch is method else 'model.branch.stage_epochs'
            raise ConfigError(
                f'{field} is {stages}, {sum(stages)} epochs in all, but {type(runner.train_loop).__name__} runs '
                f'{runner.max_epochs} (train_cfg.max_epochs); set {field} and train_cfg.max_epochs so that they agree. '
                f'Stage one alone is {field}={runner.max_epochs},0')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Pass the numbers on."""
        get_method(runner, 'TrainingProgressHook').set_progress(
            runner.seed, runner.epoch, runner.iter, get_rank())

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Forget numbers that this stage no longer gives; the log would repeat their last value for ever."""
        if not outputs:
            # a step that was left out says nothing about its stage
            return
        names = set(outputs or ())
        for name in self._logged - names:
            runner.message_hub.log_scalars.pop(f'train/{name}', None)
        self._logged = names

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep which numbers the last step gave: the first one of another stage may come after a resume."""
        checkpoint[_LOGGED] = sorted(self._logged)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take them over."""
        if runner._resume:
            self._logged = set(checkpoint.get(_LOGGED, ()))
