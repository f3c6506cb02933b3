"""Says so where a classifier has learned nothing."""
import logging
import math

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmactclr.registry import HOOKS

from .method import get_method

_LOSSES = ('loss_cls', 'loss_frames')


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Warns after a training on labels whose last losses are no better than guessing, stream by stream.

    A learning rate that suits the features of one encoder can be too high for those of another. A fusion of streams
    hides that one of them has diverged; its loss does not.
    """

    def after_train(self, runner: Runner) -> None:
        """Compare the mean loss of the last epoch with log K, that of guessing one of K classes."""
        branches = get_method(runner, 'DivergenceHook').branches()
        scalars = runner.message_hub.log_scalars
        for stream, branch in branches.items():
            head = getattr(branch, 'head', None)
            own, joint = ([f'{prefix}{loss}' for loss in _LOSSES] for prefix in (f'train/{stream}.', 'train/'))
            name = next((name for name in [*own, *joint] if name in scalars), None)
            if head is None or name is None:
                continue
            loss, guessing = scalars[name].mean(len(runner.train_dataloader)), math.log(head.num_classes)
            # classifiers that are trained together have one loss
            together = name in joint and len(branches) > 1
            # not >=, which is false for what is no number
            if not loss < guessing:
                who = 'classifiers of all streams together end' if together else (
                    f'classifier of the {stream} stream ends')
                print_log(f'the {who} with a training loss of {loss:.2f}, guessing has {guessing:.2f}: the learning '
                          'rate is too high for these features, or it was trained too little; try a tenth of '
                          'optim_wrapper.optimizer.lr', logger='current', level=logging.WARNING)
            if together:
                break
