"""Weighted k-nearest-neighbour classification of frozen features."""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import METRICS

from .features import FeatureMetric, FeatureSplit
from .outcome import vote_shares


def knn_scores(bank: Tensor, bank_labels: Tensor, queries: Tensor, k: int = 20,
               temperature: float = 0.1, chunk: int = 1024) -> Tensor:
    """Votes of the k nearest bank features by cosine similarity, each weighted exp(similarity / T).

    Protocol of Wu et al., CVPR 2018, as the skeleton papers use it.

    Args:
        bank: (B, D) features with known labels.
        bank_labels: (B,) labels, from zero.
        queries: (Q, D) features to classify.
        k: Neighbours that vote; a smaller bank votes as a whole.
        temperature: T.
        chunk: Queries compared at once.

    Returns:
        (Q, classes) share of every class in the vote; rows add up to one.
    """
    bank = F.normalize(bank, dim=1)
    num_classes = int(bank_labels.max()) + 1
    scores = []
    for part in queries.split(chunk):
        similarity = F.normalize(part, dim=1) @ bank.t()
        nearest, where = similarity.topk(min(k, len(bank)), dim=1)
        votes = similarity.new_zeros(len(part), num_classes)
        # relative to the nearest: the vote is the same, and no temperature overflows
        weight = ((nearest - nearest[:, :1]) / temperature).exp()
        votes.scatter_add_(1, bank_labels[where], weight)
        scores.append(votes / votes.sum(1, keepdim=True))
    return torch.cat(scores)


def knn_predict(bank: Tensor, bank_labels: Tensor, queries: Tensor, k: int = 20,
                temperature: float = 0.1, chunk: int = 1024) -> Tensor:
    """Label (Q,) that wins the vote of :func:`knn_scores`, which has the same arguments."""
    return knn_scores(bank, bank_labels, queries, k, temperature, chunk).argmax(1)


@METRICS.register_module()
class KNNEvaluator(FeatureMetric):
    """Top-1 accuracy in percent of :func:`knn_predict`, for every feature point and k.

    Args:
        k: Numbers of neighbours, or a single one.
        temperature: T of the vote.
        kwargs: Arguments of :class:`FeatureMetric`.

    Raises:
        ConfigError: If there is no number, or one that is not from 1 up.
    """

    default_prefix = 'knn'

    def __init__(self, k: int | Sequence[int] = (20,), temperature: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # the command line makes k=20 a number
        self.k, self.temperature = (k,) if isinstance(k, int) else tuple(k), temperature
        if not self.k or not all(isinstance(number, int) and number > 0 for number in self.k):
            raise ConfigError(f'KNNEvaluator: k is {list(self.k)}, expected numbers of neighbours from 1 up')

    @property
    def protocol(self) -> dict[str, Any]:
        """Neighbours, temperature, similarity and feature points."""
        return {**super().protocol, 'k': list(self.k), 'temperature': self.temperature, 'similarity': 'cosine'}

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """``{'k20': shares of the vote (Q, classes), ...}``."""
        if len(split.bank) < max(self.k):
            print_log(f'kNN: the training part has {len(split.bank)} sequences, of which all vote where '
                      f'{max(self.k)} are asked for', logger='current')
        return {f'k{k}': knn_scores(split.bank, split.bank_labels, split.queries, k, self.temperature)
                for k in self.k}

    def probabilities(self, scores: Tensor) -> Tensor:
        """The shares of the vote; those of several streams are weighted and brought to a sum of one again."""
        return vote_shares(scores)
