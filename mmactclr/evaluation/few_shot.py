"""What a handful of labels is worth: nearest class means of a few labelled sequences, drawn many times."""
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import METRICS
from mmactclr.utils import derive_seed

from .features import FeatureMetric, FeatureSplit, top1

# Two-sided 95% of the normal distribution.
_NORMAL_95 = 1.959964


def draw_shots(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Positions of ``shots`` sequences of every class, drawn at random; all of a class that has no more.

    Args:
        labels: (B,) labels.
        shots: Sequences of every class.
        generator: Source of randomness.
    """
    chosen = []
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        chosen.append(members[torch.randperm(len(members), generator=generator)[:shots]])
    return torch.cat(chosen)


def class_mean_scores(features: Tensor, labels: Tensor, queries: Tensor, num_classes: int) -> Tensor:
    """Cosine similarity of queries to the mean of the normalised features of every class.

    Args:
        features: (S, D) labelled features.
        labels: (S,).
        queries: (Q, D).
        num_classes: K.

    Returns:
        (Q, K); -1 for a class without a labelled sequence.
    """
    features = F.normalize(features, dim=1)
    sums = features.new_zeros(num_classes, features.shape[1]).index_add(0, labels, features)
    scores = F.normalize(queries, dim=1) @ F.normalize(sums, dim=1).t()
    there = torch.bincount(labels, minlength=num_classes) > 0
    return torch.where(there, scores, -1.)


@METRICS.register_module()
class FewShotEvaluator(FeatureMetric):
    """Accuracy in percent of :func:`class_mean_scores` from a few labelled sequences per class, mean over many draws.

    The same draws serve every feature point and every model, so that rows can be compared pair by pair.

    Args:
        shots: Numbers of labelled sequences per class, or a single one; all of a class that has no more.
        draws: How often they are drawn.
        seed: Seed of the draws.
        kwargs: Arguments of :class:`FeatureMetric`.

    Raises:
        ConfigError: If a number is not from 1 up.
    """

    default_prefix = 'fewshot'

    def __init__(self, shots: int | Sequence[int] = (1, 5, 10), draws: int = 50, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shots = (shots,) if isinstance(shots, int) else tuple(shots)
        self.draws, self.seed = draws, seed
        if not self.shots or min(self.shots) < 1 or draws < 1:
            raise ConfigError(f'FewShotEvaluator: shots is {list(self.shots)} and draws {draws}, expected numbers from '
                              '1 up')

    @property
    def protocol(self) -> dict[str, Any]:
        """Numbers of sequences and draws."""
        return {**super().protocol, 'shots': list(self.shots), 'draws': self.draws, 'seed': self.seed,
                'classifier': 'nearest class mean, cosine'}

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """``{'1shot': (draws, Q, classes), ...}``."""
        smallest = int(split.bank_labels.bincount()[split.bank_labels.unique()].min())
        if smallest < max(self.shots):
            print_log(f'few-shot: the smallest class has {smallest} labelled sequences, of which all are taken where '
                      f'{max(self.shots)} are asked for', logger='current')
        scores = {}
        for shots in self.shots:
            generator = torch.Generator().manual_seed(derive_seed('few-shot', self.seed, shots))
            drawn = [draw_shots(split.bank_labels, shots, generator) for _ in range(self.draws)]
            scores[f'{shots}shot'] = torch.stack([
                class_mean_scores(split.bank[rows], split.bank_labels[rows], split.queries, split.num_classes)
                for rows in drawn])
        return scores

    def probabilities(self, scores: Tensor) -> None:
        """Many draws have no single confusion matrix."""

    def measure(self, name: str, scores: Tensor, bank_labels: Tensor, query_labels: Tensor) -> dict[str, float]:
        """``POINT_Nshot``, the mean over the draws, and ``POINT_Nshot_ci95``, half of its confidence interval.

        The interval is that of the mean over draws of labelled sequences, for the test part as it is.
        """
        values = torch.tensor([top1(draw, query_labels) for draw in scores], dtype=torch.float64)
        found = {name: values.mean().item()}
        if len(values) > 1:
            found[f'{name}_ci95'] = _NORMAL_95 * values.std().item() / math.sqrt(len(values))
        return found
