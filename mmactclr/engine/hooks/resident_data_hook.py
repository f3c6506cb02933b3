"""Keeps the training data on the GPU."""
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.models import ResidentJoints
from mmactclr.registry import HOOKS

from .feature_cache_hook import FeatureCacheHook
from .method import get_method


@HOOKS.register_module()
class ResidentDataHook(Hook):
    """Puts the prepared training set onto the device of the model once, so that batches are only numbers.

    Does nothing on CPUs, where a batch comes from the page cache; for sets that take more than a share of the free
    memory of the device; for datasets other than a :class:`SkeletonDataset`; and where encoders see the data once only.

    Args:
        share: Share of the free memory of the device that the data may take.
        on_cpu: Keep the data in the memory of the process where there is no GPU.
    """

    # before encoders are run on the training set
    priority = 'NORMAL'

    def __init__(self, share: float = 0.3, on_cpu: bool = False) -> None:
        self.share, self.on_cpu = share, on_cpu

    def before_train(self, runner: Runner) -> None:
        """Move the data."""
        preprocessor: Any = getattr(get_method(runner, 'ResidentDataHook'), 'data_preprocessor', None)
        dataset = runner.train_dataloader.dataset
        if not (hasattr(preprocessor, 'resident') and hasattr(dataset, 'resident_size')) \
                or any(isinstance(hook, FeatureCacheHook) for hook in runner.hooks):
            return
        device = preprocessor.device
        if device.type != 'cuda' and not self.on_cpu:
            return
        if device.type == 'cuda' and dataset.resident_size > self.share * torch.cuda.mem_get_info(device)[0]:
            runner.logger.info(f'the training set takes {dataset.resident_size / 2 ** 30:.1f} GiB, too much for the '
                               'memory of the device: batches are copied')
            return
        preprocessor.resident = ResidentJoints.of(dataset, device)
        dataset.with_inputs = False
        runner.logger.info(f'the training set, {dataset.resident_size / 2 ** 20:.0f} MiB, is kept on {device}')

    def after_train(self, runner: Runner) -> None:
        """Let go of the data."""
        preprocessor: Any = getattr(get_method(runner, 'ResidentDataHook'), 'data_preprocessor', None)
        if getattr(preprocessor, 'resident', None) is not None:
            preprocessor.resident = None
            runner.train_dataloader.dataset.with_inputs = True
