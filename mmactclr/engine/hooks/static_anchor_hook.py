"""The static anchor: the mean motion of the training set, or of the keys seen so far."""
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmactclr.datasets import skeleton_collate
from mmactclr.errors import ConfigError, RunError
from mmactclr.registry import HOOKS

from .method import get_branches


def mean_motion(dataset: Dataset, chunk: int = 256) -> torch.Tensor:
    """Mean of all prepared sequences of a dataset, section 3.1 of the method; (M, T, V, C) float32.

    Absent persons count as the zeros they are, as at the encoder's average pooling. Of a dataset that processes have
    divided, all of them have to call this; each sequence counts once.

    Raises:
        ConfigError: If the dataset is empty.
        RunError: If numbers of a sequence are not finite; it is named.
    """
    if len(dataset) == 0:
        raise ConfigError('StaticAnchorHook: the training set is empty')
    divided = getattr(dataset, 'divided', False)
    positions = dataset.counted() if divided else range(len(dataset))
    total = torch.zeros_like(dataset[0]['inputs'], dtype=torch.float64)
    for start in range(0, len(positions), chunk):
        indices = list(positions[start:start + chunk])
        # a wrapped dataset, such as ConcatDataset, gives single samples only
        whole_batch = getattr(dataset, '__getitems__', None)
        batch = whole_batch(indices) if whole_batch else [dataset[i] for i in indices]
        joints = skeleton_collate(batch)['inputs']
        part = joints.to(torch.float64).sum(0)
        if not torch.isfinite(part).all():
            finite = torch.isfinite(joints.flatten(1)).all(1).tolist()
            wrong = _names(dataset, [i for i, good in zip(indices, finite, strict=True) if not good])
            raise RunError(f'StaticAnchorHook: the numbers of {wrong} are not finite, so the mean motion of the '
                           'training set is not; tools/dataset_converters/verify.py says what is wrong with the '
                           'archive; delete its folder prepared to make the prepared sequences again')
        total += part
    if divided:
        all_reduce(total)
    return (total / (dataset.total if divided else len(dataset))).float()


def _names(dataset: Dataset, positions: list[int]) -> str:
    """Up to five sequences at positions of a dataset, by name where it knows their names."""
    more = len(positions) - 5
    known = [dataset.name_of(int(dataset.index[i])) if hasattr(dataset, 'name_of') else f'sequence {i}'
             for i in positions[:5]]
    return ', '.join(known) + (f' and {more} more' if more > 0 else '')


@HOOKS.register_module()
class StaticAnchorHook(Hook):
    """Gives every branch its static anchor.

    The mean of the training set is streamed before the first step of a run; a resumed run keeps that of its
    checkpoint. An anchor that follows the keys (``anchor='ema'``) moves after every step, and one of the batch needs
    no hook.

    Args:
        momentum: Share of the old anchor that an ``ema`` anchor keeps at every step, between 0 and 1.

    Raises:
        ConfigError: If ``momentum`` lies outside [0, 1].
    """

    priority = 'HIGH'

    def __init__(self, momentum: float = 0.99) -> None:
        if not 0.0 <= momentum <= 1.0:
            raise ConfigError(f'StaticAnchorHook: momentum is {momentum}, expected a value in [0, 1]')
        self.momentum = momentum

    def before_train(self, runner: Runner) -> None:
        """Stream over the training set once."""
        branches = get_branches(runner, 'StaticAnchorHook', 'anchor_source')
        waiting = [branch for branch in branches if branch.anchor_source == 'dataset'
                   and not (runner._resume and bool(branch.anchor_ready))]
        if not waiting:
            return
        dataset = runner.train_dataloader.dataset
        anchor = mean_motion(dataset)
        for branch in waiting:
            branch.set_anchor(anchor)
        count = getattr(dataset, 'total', len(dataset))
        runner.logger.info(f'static anchor: mean of {count} training sequences')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Move the anchors that follow the keys."""
        for branch in get_branches(runner, 'StaticAnchorHook', 'anchor_source'):
            branch.follow_anchor(self.momentum)
