"""Does the actionlet lie on what moves? Measures for sequences whose moving limb is known."""
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.structures import Layout
from mmactclr.transforms import to_stream


def limb_accuracy(actionlet: Tensor, limb: Tensor, layout: Layout) -> float:
    """Share of sequences, in %, whose moving limb has the highest mean A over its joints and all moments.

    Args:
        actionlet: (N, T', V) raw actionlets of the acting person.
        limb: (N,) positions of the moving limbs among the body parts after the trunk.
        layout: Joint layout.
    """
    parts = [list(layout.parts[name]) for name in layout.part_names[1:]]
    means = torch.stack([actionlet[..., joints].mean((1, 2)) for joints in parts], 1)
    return 100.0 * (means.argmax(1) == limb).float().mean().item()


def shuffle_joints(actionlet: Tensor, seed: int) -> Tensor:
    """The same (N, T', V) values on other joints, one random order a sequence: what chance looks like."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(actionlet.shape[2], generator=generator) for _ in actionlet])
    return actionlet.gather(2, order[:, None].expand_as(actionlet))


@torch.no_grad()
def fit_batch_statistics(model: Any, joints: Tensor, mask: Tensor) -> None:
    """Give an untrained method the batch-norm statistics of the data and nothing else.

    How much of a difference between trained and untrained encoders is learning can only be said with
    this third encoder beside them.

    Args:
        model: A single-stream method; its key encoder becomes equal to the online one.
        joints: (N, M, T, V, C) prepared joints.
        mask: (N, M) persons present.
    """
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    training = model.training
    model.train()
    model.encode(model.backbone, to_stream(joints, model.stream, model.layout), mask)
    model.train(training)
    for norm, value in zip(norms, momentum, strict=True):
        norm.momentum = value
    model.copy_to_key()
