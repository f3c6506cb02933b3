"""The static anchor: the mean motion of the training set, of groups of it, or of the keys seen so far."""
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.datasets import skeleton_collate
from mmactclr.errors import ConfigError, RunError
from mmactclr.registry import HOOKS

from .method import get_branches


def mean_motion(dataset: Any, chunk: int = 256) -> torch.Tensor:
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
    total = torch.zeros_like(dataset[0]['inputs'], dtype=torch.float64)
    for indices, joints in _chunks(dataset, chunk):
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


def group_motions(dataset: Any, count: int, rounds: int = 20, seed: int = 0) -> torch.Tensor:
    """Mean motions of groups of alike sequences, by Lloyd's k-means; (count, M, T, V, C) float32.

    A group that has lost all its sequences keeps its mean. Of a dataset that processes have divided, all of them have
    to call this.

    Args:
        dataset: Prepared sequences; of divided ones each process holds its share.
        count: Number of groups.
        rounds: Steps at most; less where no sequence changes its group.
        seed: Of the sequences, of the first process, that the groups begin with.

    Raises:
        ConfigError: If there are fewer sequences than groups.
    """
    divided = getattr(dataset, 'divided', False)
    positions = dataset.counted() if divided else range(len(dataset))
    if len(positions) < count:
        raise ConfigError(f'StaticAnchorHook: {count} anchors of {len(positions)} training sequences; '
                          'set model.num_anchors to fewer')
    first = torch.randperm(len(positions), generator=torch.Generator().manual_seed(seed))[:count].tolist()
    means = torch.stack([dataset[positions[i]]['inputs'] for i in first]).double()
    broadcast(means)
    before = None
    for _ in range(rounds):
        total, members = torch.zeros_like(means), torch.zeros(count, dtype=torch.float64)
        group = []
        for _, joints in _chunks(dataset, 256):
            nearest = torch.cdist(joints.double().flatten(1), means.flatten(1)).argmin(1)
            total.index_add_(0, nearest, joints.double())
            members += nearest.bincount(minlength=count)
            group.append(nearest)
        changed = torch.tensor(1.0 if before is None else float((torch.cat(group) != before).sum()))
        if divided:
            for each in (total, members, changed):
                all_reduce(each)
        filled = members > 0
        means[filled] = total[filled] / members[filled][:, None, None, None, None]
        if not changed:
            break
        before = torch.cat(group)
    return means.float()


def _chunks(dataset: Any, chunk: int) -> Iterator[tuple[Sequence[int], torch.Tensor]]:
    """Positions and prepared joints (n, M, T, V, C) of every sequence that this process counts, n at a time."""
    positions = dataset.counted() if getattr(dataset, 'divided', False) else range(len(dataset))
    for start in range(0, len(positions), chunk):
        indices = list(positions[start:start + chunk])
        # a wrapped dataset, such as ConcatDataset, gives single samples only
        whole_batch = getattr(dataset, '__getitems__', None)
        batch = whole_batch(indices) if whole_batch else [dataset[i] for i in indices]
        yield indices, skeleton_collate(batch)['inputs']


def _names(dataset: Any, positions: list[int]) -> str:
    """Up to five sequences at positions of a dataset, by name where it knows their names."""
    more = len(positions) - 5
    known = [dataset.name_of(int(dataset.index[i])) if hasattr(dataset, 'name_of') else f'sequence {i}'
             for i in positions[:5]]
    return ', '.join(known) + (f' and {more} more' if more > 0 else '')


@HOOKS.register_module()
class StaticAnchorHook(Hook):
    """Gives every branch its static anchor.

    The mean of the training set, and those of its groups where a model has several anchors, are taken before the first
    step of a run; a resumed run keeps those of its checkpoint. An anchor that follows the keys (``anchor='ema'``) moves
    after every step; one of the batch or of its features needs no hook.

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
        groups = {count: group_motions(dataset, count) for count in {branch.num_anchors for branch in waiting}
                  if count > 1}
        for branch in waiting:
            branch.set_anchor(anchor, groups.get(branch.num_anchors))
        total = getattr(dataset, 'total', len(dataset))
        kind = ' and '.join(['mean', *(f'means of {count} groups' for count in sorted(groups))])
        runner.logger.info(f'static anchor: {kind} of {total} training sequences')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Move the anchors that follow the keys."""
        for branch in get_branches(runner, 'StaticAnchorHook', 'anchor_source'):
            branch.follow_anchor(self.momentum)
