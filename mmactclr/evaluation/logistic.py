"""Multinomial logistic regression on frozen features: the linear probe without a learning rate."""
import logging
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import METRICS

from .features import FeatureMetric, FeatureSplit
from .linear import Standardize

_MAX_ITERATIONS = 1000
# of the gradient per sequence, where the optimum counts as reached; line searches in float64 get no further with few
_TOLERANCE = 5e-9
# p (1 - p) of a classifier that is right most of the time: the curvature that steps are scaled to
_CURVATURE = 0.01


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
    classifier = nn.Linear(x.shape[1], num_classes, dtype=torch.float64).requires_grad_(False)
    weight, bias = _solve(x, labels, num_classes, c)
    classifier.weight.copy_(weight)
    classifier.bias.copy_(bias)
    return _Double(scale, classifier)


def _solve(x: Tensor, labels: Tensor, num_classes: int, c: float) -> tuple[Tensor, Tensor]:
    """Weight (classes, D) and bias (classes,) of the optimum for standardised (B, D) features.

    The penalty does not notice a rotation, so the problem is solved along the principal directions of the features: at
    most B of them, each scaled so that the curvature is about one in every direction. Coordinates of skeletons, whose
    directions differ by a factor of hundreds, take a few hundred steps so and many thousand otherwise.
    """
    left, spread, directions = torch.linalg.svd(x, full_matrices=False)
    step = (_CURVATURE * spread.square() + 1 / c).rsqrt()
    bias_step = (_CURVATURE * len(x)) ** -0.5
    z = torch.cat([left * (spread * step), x.new_full((len(x), 1), bias_step)], 1)
    # the last column is the bias
    penalty = torch.cat([step.square() / c, x.new_zeros(1)])
    scaled = x.new_zeros(num_classes, z.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([scaled], max_iter=_MAX_ITERATIONS, tolerance_grad=_TOLERANCE * len(x),
                                  tolerance_change=0.0, history_size=20, line_search_fn='strong_wolfe')

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(z @ scaled.t(), labels, reduction='sum') + (penalty * scaled.square()).sum() / 2
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
        closure()
    gradient = cast(Tensor, scaled.grad).abs().max().item() / len(x)
    if gradient > _TOLERANCE:
        print_log(f'logistic regression stopped short of its optimum: gradient {gradient:.1e} after {_MAX_ITERATIONS} '
                  f'steps, expected {_TOLERANCE:.1e}; a smaller c than {c} is easier to solve', logger='current',
                  level=logging.WARNING)
    solution = scaled.detach()
    return solution[:, :-1] * step @ directions, solution[:, -1] * bias_step


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
