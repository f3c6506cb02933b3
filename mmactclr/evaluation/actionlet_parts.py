"""Which body parts the actionlets of every class lie on."""
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
