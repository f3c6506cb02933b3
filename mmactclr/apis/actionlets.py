"""What a trained encoder sees in the sequences of a data set."""
import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.utils import track_iter_progress
from torch import Tensor

from mmactclr.datasets import SkeletonDataset
from mmactclr.engine.hooks.static_anchor_hook import mean_motion
from mmactclr.errors import ConfigError
from mmactclr.evaluation.actionlet_parts import ClassShares, class_shares, part_shares
from mmactclr.models import ActCLR, ActionletHead
from mmactclr.models.algorithms.actclr import find_actionlet
from mmactclr.models.algorithms.base import BaseAlgorithm
from mmactclr.visualization import ActionletExample

_BATCH = 128


def compute_actionlets(model: BaseAlgorithm, dataset: SkeletonDataset, positions: Sequence[int] | None = None,
                       stream: str | None = None) -> Tensor:
    """Raw actionlets (N, M, T', V) of sequences of a data set.

    ActCLR finds them against the static anchor of its training. Any other encoder finds them against the mean motion
    of the data set, through its projector or, where it has none, directly on the pooled feature.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: A :class:`~mmactclr.datasets.SkeletonDataset`.
        positions: Positions in the data set; all of them if None.
        stream: Which stream of several; the first if None.

    Raises:
        ConfigError: If the model has no such stream or no encoder, or ActCLR no static anchor.
    """
    find = actionlet_finder(model, dataset, stream)
    positions = list(range(len(dataset))) if positions is None else list(positions)
    chunks = [positions[i:i + _BATCH] for i in range(0, len(positions), _BATCH)]
    found = []
    for chunk in track_iter_progress(chunks, file=sys.stderr) if len(chunks) > 4 else chunks:
        batch = dataset.__getitems__(chunk)
        found.append(find(batch['inputs'], batch['mask']))
    return torch.cat(found)


def actionlet_finder(model: BaseAlgorithm, dataset: SkeletonDataset, stream: str | None = None
                     ) -> Callable[[Tensor, Tensor], Tensor]:
    """What :func:`compute_actionlets` asks, for sequences that are not in the data set, such as transformed ones.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: Whose mean motion is the anchor of a model without one.
        stream: Which stream of several; the first if None.

    Returns:
        Function of prepared joints (N, M, T, V, C) and who is there (N, M); raw actionlets (N, M, T', V) on the CPU.

    Raises:
        ConfigError: As :func:`compute_actionlets`.
    """
    branch = _branch(model, stream)
    device = next(branch.parameters()).device
    if isinstance(branch, ActCLR):
        return lambda keypoint, mask: branch.actionlet(keypoint.to(device), mask.to(device)).cpu()
    head = ActionletHead(branch.layout).to(device)
    anchor = mean_motion(dataset).to(device)
    return lambda keypoint, mask: find_actionlet(branch, head, keypoint.to(device), mask.to(device), anchor).cpu()


def find_actionlets(model: BaseAlgorithm, dataset: SkeletonDataset, num: int = 6) -> list[ActionletExample]:
    """Actionlets of one sequence of each of ``num`` classes, spread evenly over those that occur.

    Each person that is there has an entry of its own. Of several streams the first speaks. See
    :func:`compute_actionlets`.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: A :class:`~mmactclr.datasets.SkeletonDataset`.
        num: Classes to show; all of them where there are fewer.

    Raises:
        ConfigError: If the model has no encoder, its static anchor was never computed, or ``num`` is not
            positive.
    """
    if num < 1:
        raise ConfigError(f'the number of sequences to show is {num}, expected 1 or more')
    labels, first = np.unique(np.asarray(dataset.labels), return_index=True)
    labels, first = labels[labels >= 0], first[labels >= 0]
    if not len(labels):
        raise ConfigError('a sequence of each class needs labelled data; convert the data with labels')
    chosen = np.unique(np.linspace(0, len(labels) - 1, num).round().astype(int))
    positions = first[chosen].tolist()
    found = compute_actionlets(model, dataset, positions).numpy()
    batch = dataset.__getitems__(positions)
    joints = batch['inputs'].numpy()
    examples = []
    for i, label in enumerate(labels[chosen]):
        persons = batch['mask'][i].nonzero()[:, 0].tolist()
        for person in persons:
            title = dataset.metainfo['classes'][label]
            title += f', person {person + 1}' if len(persons) > 1 else ''
            examples.append(ActionletExample(title, joints[i, person], found[i, person], 'm'))
    return examples


def actionlet_part_shares(model: BaseAlgorithm, dataset: SkeletonDataset, stream: str | None = None
                          ) -> dict[str, dict[str, float]]:
    """Share of the actionlets on every body part, ``{class: {part: share}}``, mean over the sequences of each class.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: A labelled :class:`~mmactclr.datasets.SkeletonDataset`.
        stream: Which stream of several; the first if None.

    Raises:
        ConfigError: As :func:`compute_actionlets`, and if the data have no classes.
    """
    classes = _classes(dataset)
    found = part_shares(compute_actionlets(model, dataset, stream=stream), torch.from_numpy(dataset.labels),
                        dataset.metainfo['layout'])
    return {classes[label]: parts for label, parts in found.items() if label >= 0}


def actionlet_class_shares(model: BaseAlgorithm, dataset: SkeletonDataset, stream: str | None = None
                           ) -> dict[str, ClassShares]:
    """Mean actionlet of every class over joints and over time, :func:`~mmactclr.evaluation.class_shares` by name.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: A labelled :class:`~mmactclr.datasets.SkeletonDataset`.
        stream: Which stream of several; the first if None.

    Raises:
        ConfigError: As :func:`compute_actionlets`, and if the data have no classes.
    """
    classes = _classes(dataset)
    found = class_shares(compute_actionlets(model, dataset, stream=stream), torch.from_numpy(dataset.labels))
    return {classes[label]: shares for label, shares in found.items() if label >= 0}


def _classes(dataset: SkeletonDataset) -> tuple[str, ...]:
    classes = dataset.metainfo['classes']
    if not classes:
        raise ConfigError('shares by class need labelled data; convert the data with labels')
    return tuple(map(str, classes))


def _branch(model: BaseAlgorithm, stream: str | None) -> BaseAlgorithm:
    branches = model.branches()
    if stream is not None and stream not in branches:
        raise ConfigError(f'the model has no stream {stream!r}, it has {", ".join(branches)}')
    branch = next(iter(branches.values())) if stream is None else branches[stream]
    if not hasattr(branch, 'layout'):
        raise ConfigError(f'{type(branch).__name__} has no encoder that could find actionlets; use a pretrained '
                          'checkpoint or one with a classifier')
    return branch
