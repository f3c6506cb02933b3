"""Lets a classifier train on features of a frozen encoder that were extracted once."""
import time

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm, Recognizer
from mmactclr.models.algorithms.recognizer import VIEW
from mmactclr.registry import HOOKS

from .method import get_method


@HOOKS.register_module()
class FeatureCacheHook(Hook):
    """Extracts the features of all training sequences before the first epoch, where none of them will change.

    A frozen encoder without augmentation gives the same feature of a sequence at every epoch; steps then cost a look-up
    and a matrix product, with the same losses. Where the view is augmented the hook leaves training as it is.

    Args:
        batch_size: Sequences encoded at once.

    Raises:
        ConfigError: If an encoder is not frozen.
    """

    # after weights were loaded, whether by a hook or on resume
    priority = 'LOW'

    def __init__(self, batch_size: int = 256) -> None:
        self.batch_size = batch_size

    def before_train(self, runner: Runner) -> None:
        """Fill the caches."""
        method = get_method(runner, 'FeatureCacheHook')
        branches = method.branches()
        thawed = [stream for stream, branch in branches.items() if not getattr(branch, 'frozen', False)]
        if thawed:
            raise ConfigError(f'FeatureCacheHook: the encoder of the {", ".join(thawed)} stream is trained, its '
                              'features change at every step; set model.frozen=True or take the hook out of '
                              'custom_hooks')
        if method.data_preprocessor.augments(VIEW):
            runner.logger.info('views are augmented: features are computed anew in every epoch')
            return
        if runner.epoch >= runner.max_epochs:
            runner.logger.info(f'all {runner.max_epochs} epochs are done; for more set train_cfg.max_epochs')
            return
        if not hasattr(runner.train_dataloader.dataset, 'with_inputs'):
            raise ConfigError('FeatureCacheHook: train_dataloader.dataset is '
                              f'{type(runner.train_dataloader.dataset).__name__}, expected SkeletonDataset or '
                              'SegmentationDataset itself; take the wrapper or the hook out')
        start = time.monotonic()
        count = self._fill(runner, method, branches)
        runner.train_dataloader.dataset.with_inputs = False
        runner.logger.info(f'features of {count} training sequences in {time.monotonic() - start:.1f} s; the epochs '
                           'work on them')

    def after_train(self, runner: Runner) -> None:
        """Forget the caches."""
        for branch in get_method(runner, 'FeatureCacheHook').branches().values():
            branch.cached = None
        if hasattr(runner.train_dataloader.dataset, 'with_inputs'):
            runner.train_dataloader.dataset.with_inputs = True

    @torch.no_grad()
    def _fill(self, runner: Runner, method: BaseAlgorithm, branches: dict[str, Recognizer]) -> int:
        dataset = runner.train_dataloader.dataset
        size = int(dataset.index.max()) + 1
        training = method.training
        method.eval()
        for start in range(0, len(dataset), self.batch_size):
            positions = range(start, min(start + self.batch_size, len(dataset)))
            batch = method.data_preprocessor(dataset.__getitems__(positions))
            with runner.optim_wrapper.optim_context(method):
                features = method(batch['inputs'], batch['mask'], mode='tensor')
            for stream, branch in branches.items():
                pooled = features[f'{stream}.backbone' if len(branches) > 1 else 'backbone']
                if branch.cached is None:
                    branch.cached = pooled.new_full((size, *pooled.shape[1:]), float('nan'))
                branch.cached[batch['index']] = pooled
        method.train(training)
        return len(dataset)
