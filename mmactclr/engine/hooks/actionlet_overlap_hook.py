"""Watches the actionlet become the motion region, where that is known."""
import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.evaluation.actionlet_overlap import motion_region, overlap
from mmactclr.models import ActCLR
from mmactclr.registry import HOOKS

from .method import get_method

_CHUNK = 64


@HOOKS.register_module()
class ActionletOverlapHook(Hook):
    """Logs how far actionlets lie on what moves, Eq. 3, before training and every few epochs.

    For runs on the built-in set, whose moving joints are known. Looks at the same sequences, spread over the
    training set, every time. The numbers also go to the visualiser backends as ``actionlet/iou`` and so on, with
    the stream in front where there are several.

    Args:
        interval: Epochs between two looks.
        num: Sequences to look at.

    Raises:
        ConfigError: If a number is not positive, the method has no actionlets, or the data are not the built-in set.
    """

    def __init__(self, interval: int = 10, num: int = 96) -> None:
        if min(interval, num) < 1:
            raise ConfigError(f'ActionletOverlapHook: interval is {interval}, num is {num}, expected 1 or more')
        self.interval, self.num = interval, num
        self._batch: dict[str, Tensor] = {}
        self._regions: dict[int, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Pick the sequences and look at them for the first time."""
        method, dataset = get_method(runner, 'ActionletOverlapHook'), runner.train_dataloader.dataset
        other = [type(branch).__name__ for branch in method.branches().values() if not isinstance(branch, ActCLR)]
        if other or not hasattr(dataset, 'archive'):
            what = f'{other[0]} has no actionlets' if other else f'{type(dataset).__name__} is no SkeletonDataset'
            raise ConfigError(f'ActionletOverlapHook: {what}; remove the hook from the config')
        self._batch = dataset.__getitems__(
            np.unique(np.linspace(0, len(dataset) - 1, min(self.num, len(dataset))).astype(int)))
        self._archive, self._regions = dataset.archive, {}
        self._look(runner, runner.epoch)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look again, if it is time."""
        if self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner):
            self._look(runner, runner.epoch + 1)

    def _look(self, runner: Runner, epoch: int) -> None:
        branches = get_method(runner, 'ActionletOverlapHook').branches()
        for stream, branch in branches.items():
            found = self._measure(branch)
            name = stream if len(branches) > 1 else ''
            runner.logger.info(
                f'actionlet against what moves, epoch {epoch}{f", {name}" if name else ""}: '
                f'IoU {found["iou"]:.3f} (chance {found["iou_chance"]:.3f}), '
                f'share on it {found["share"]:.3f} (chance {found["share_chance"]:.3f})')
            prefix = f'{name}.actionlet' if name else 'actionlet'
            runner.visualizer.add_scalars({f'{prefix}/{key}': value for key, value in found.items()}, step=epoch)

    @torch.no_grad()
    def _measure(self, branch: ActCLR) -> dict[str, float]:
        device = branch.anchor.device
        joints, mask = self._batch['inputs'], self._batch['mask']
        found = torch.cat([branch.actionlet(x.to(device), present.to(device)).cpu()
                           for x, present in zip(joints.split(_CHUNK), mask.split(_CHUNK), strict=True)])
        cells = found.shape[2]
        if cells not in self._regions:
            self._regions[cells] = motion_region(
                self._archive, self._batch['index'].tolist(), joints.shape[2], joints.shape[1], cells)
        return overlap(found, self._regions[cells], mask)
