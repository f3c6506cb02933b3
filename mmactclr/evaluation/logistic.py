"""Multinomial logistic regression on frozen features: the linear probe without a learning rate."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import METRICS

from .features import FeatureMetric, FeatureSplit
from .linear import Standardize

_MAX_ITERATIONS = 1000
# of the mean gradient, where the optimum counts as reached
_TOLERANCE = 1e-7


def logistic_regression(features: Tensor, labels: Tensor, num_classes: int, c: float = 1.0) -> nn.Module:
    """Solve multinomial logistic regression on standardised features to the end.

    Minimises ``sum_i CE_i + ||W||^2 / (2 c)``, the bias free, in float64; the optimum is unique up to a constant in the
    biases. That is the convention of scikit-learn.

    Args:
        features: (B, D) frozen features.
        labels: (B,) labels, from zero.
        num_classes: Classes of the data set.
        c: Inverse strength of the penalty.

    Returns:
        Module that maps (N, D) features to (N, num_classes) float64 logits.
    """
    scale = Standardize(features.double())
    x = scale(features.double())
    classifier = nn.Linear(x.shape[1], num_classes, dtype=torch.float64)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.LBFGS(classifier.parameters(), max_iter=_MAX_ITERATIONS, tolerance_grad=_TOLERANCE,
                                  tolerance_change=0.0, history_size=20, line_search_fn='strong_wolfe')

    def closure() -> Tensor:
        optimizer.zero_grad()
        # the mean, so that the tolerance does not depend on the size of the set
        loss = F.cross_entropy(classifier(x), labels) + classifier.weight.square().sum() / (2 * c * len(x))
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return _Double(scale, classifier).requires_grad_(False)


class _Double(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


@METRICS.register_module()
class LogisticEvaluator(FeatureMetric):
    """Top-1 accuracy in percent of :func:`logistic_regression` on the cached features.

    Args:
        c: Inverse strength of the penalty.
        kwargs: Arguments of :class:`FeatureMetric`.

    Raises:
        ConfigError: If ``c`` is not positive.
    """

    default_prefix = 'logistic'

    def __init__(self, c: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if c <= 0:
            raise ConfigError(f'LogisticEvaluator: c is {c}, expected a positive number')
        self.c = c

    @property
    def protocol(self) -> dict[str, Any]:
        """Penalty and feature points."""
        return {**super().protocol, 'c': self.c, 'standardize': True}

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """``{'top1': logits (Q, classes)}``."""
        classifier = logistic_regression(split.bank, split.bank_labels, split.num_classes, self.c)
        return {'top1': classifier(split.queries)}
