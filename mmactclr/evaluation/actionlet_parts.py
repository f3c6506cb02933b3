"""Which body parts, joints and moments the actionlets of every class lie on."""
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmactclr.structures import Layout


def part_shares(actionlet: Tensor, labels: Tensor, layout: Layout) -> dict[int, dict[str, float]]:
    """Share of the actionlet on every body part, mean over the sequences of each class.

    Args:
        actionlet: (N, M, T', V) raw actionlets, zero for absent persons.
        labels: (N,) classes.
        layout: Joint layout of V joints.

    Returns:
        ``{class: {part: share}}``; the shares of a class add up to one. A sequence whose actionlet is zero everywhere
        does not count, and a class of nothing else is left out.
    """
    joints = actionlet.double().sum((1, 2))
    total = joints.sum(1)
    shares = torch.stack([joints[:, list(layout.parts[name])].sum(1) for name in layout.part_names], 1)
    found = {}
    for label in labels.unique().tolist():
        rows = (labels == label) & (total > 0)
        if rows.any():
            mean = (shares[rows] / total[rows, None]).mean(0)
            found[label] = dict(zip(layout.part_names, mean.tolist(), strict=True))
    return found


@dataclass(frozen=True)
class ClassShares:
    """Where the mean actionlet of a class lies, in shares of it.

    Attributes:
        joints: (V,) share on every joint, all moments together; adds up to one.
        cells: (T',) share on every cell along time, all joints together; adds up to one.
        count: Sequences that it is the mean of.
    """

    joints: np.ndarray
    cells: np.ndarray
    count: int


def class_shares(actionlet: Tensor, labels: Tensor) -> dict[int, ClassShares]:
    """Mean actionlet of each class by joint and by cell: what figures 3 and 4 (supplement of Lin et al., 2023) show.

    Every sequence counts alike: its actionlet is divided by its sum, over persons, cells and joints, first.

    Args:
        actionlet: (N, M, T', V) raw actionlets, zero for absent persons.
        labels: (N,) classes.

    Returns:
        By class. A sequence whose actionlet is zero everywhere does not count, and a class of nothing else is left out.
    """
    persons = actionlet.double().sum(1)
    total = persons.sum((1, 2))
    found = {}
    for label in labels.unique().tolist():
        rows = (labels == label) & (total > 0)
        if rows.any():
            mean = (persons[rows] / total[rows, None, None]).mean(0)
            found[label] = ClassShares(mean.sum(0).numpy(), mean.sum(1).numpy(), int(rows.sum()))
    return found
