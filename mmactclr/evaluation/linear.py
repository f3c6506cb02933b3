"""Linear classification of frozen features that were extracted once."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import METRICS
from mmactclr.utils import derive_seed, seeded_rng

from .features import FeatureMetric, FeatureSplit

# standard deviation of a feature up to which it counts as constant
_CONSTANT = 1e-6


def linear_probe(features: Tensor, labels: Tensor, num_classes: int, epochs: int = 100, lr: float = 3.0,
                 batch_size: int = 128, milestone: int = 80, standardize: bool = False,
                 seed: int = 0) -> nn.Module:
    """Train a linear classifier by SGD with momentum 0.9 and no weight decay, section 5 of the method.

    Args:
        features: (B, D) frozen features.
        labels: (B,) labels, from zero.
        num_classes: Classes of the data set.
        epochs: Passes over the features.
        lr: Learning rate at ``batch_size``.
        batch_size: Features a step.
        milestone: Epoch at which the learning rate drops to a tenth.
        standardize: Bring every feature to mean 0 and variance 1 first; needed where features were not
            normalised in training, as raw coordinates, at this learning rate.
        seed: Seed of initialisation and order.

    Returns:
        Module that maps (N, D) features to (N, num_classes) logits.
    """
    with seeded_rng(derive_seed('linear', seed)):
        classifier = nn.Linear(features.shape[1], num_classes)
        nn.init.normal_(classifier.weight, 0.0, 0.01)
        nn.init.zeros_(classifier.bias)
        scale = Standardize(features) if standardize else nn.Identity()
        features = scale(features)
        optimizer = torch.optim.SGD(classifier.parameters(), lr=lr, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [milestone], 0.1)
        with torch.enable_grad():
            for _ in range(epochs):
                for batch in torch.randperm(len(features)).split(batch_size):
                    optimizer.zero_grad()
                    F.cross_entropy(classifier(features[batch]), labels[batch]).backward()
                    optimizer.step()
                scheduler.step()
    return nn.Sequential(scale, classifier).requires_grad_(False)


class Standardize(nn.Module):
    """Mean 0 and variance 1 by the statistics of the training features; what is constant there keeps its scale.

    Args:
        features: (B, D) features to take the statistics of.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer('mean', features.mean(0))
        std = features.std(0)
        # divided by nearly nothing, a channel that is dead in training would drown all others where it wakes up
        self.register_buffer('std', std.where(std > _CONSTANT, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Standardise (N, D) features."""
        return (features - self.mean) / self.std


@METRICS.register_module()
class LinearEvaluator(FeatureMetric):
    """Top-1 accuracy in percent of :func:`linear_probe` on the cached features.

    Args:
        epochs: Passes over the features.
        lr: Learning rate at ``batch_size``.
        batch_size: Features a step.
        milestone: Epoch of the drop of the learning rate.
        standardize: Standardise the features first.
        seed: Seed of initialisation and order.
        kwargs: Arguments of :class:`FeatureMetric`.
    """

    default_prefix = 'linear'

    def __init__(self, epochs: int = 100, lr: float = 3.0, batch_size: int = 128, milestone: int = 80,
                 standardize: bool = False, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recipe: dict[str, Any] = dict(epochs=epochs, lr=lr, batch_size=batch_size, milestone=milestone,
                           standardize=standardize, seed=seed)

    @property
    def protocol(self) -> dict[str, Any]:
        """The recipe and the feature points."""
        return {**super().protocol, **self.recipe}

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """``{'top1': logits (Q, classes)}``."""
        probe = linear_probe(split.bank, split.bank_labels, split.num_classes, **self.recipe)
        return {'top1': probe(split.queries)}
