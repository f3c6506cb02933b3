"""Search by example: how many of the sequences nearest to a query are of its class."""
from typing import Any

import torch
from torch import Tensor

from mmactclr.registry import METRICS

from .features import FeatureMetric, FeatureSplit
from .metrics import average_precision, cosine_similarity

_SIMILARITY = 'similarity'


@METRICS.register_module()
class RetrievalEvaluator(FeatureMetric):
    """Recall at 1 and mean average precision, in percent, of ranking the training part by cosine similarity.

    Recall at 1 is the share of queries whose nearest sequence is of their class. The mean average precision is taken
    over the queries whose class the training part has. Of several streams the similarities are summed with the
    weights of the fusion.

    Args:
        kwargs: Arguments of :class:`FeatureMetric`.
    """

    default_prefix = 'retrieval'

    @property
    def protocol(self) -> dict[str, Any]:
        """Similarity and feature points."""
        return {**super().protocol, 'similarity': 'cosine', 'gallery': 'training part'}

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """``{'similarity': (Q, B)}``."""
        return {_SIMILARITY: cosine_similarity(split.queries, split.bank)}

    def probabilities(self, scores: Tensor) -> None:
        """Similarities to sequences are no scores of classes."""

    def measure(self, name: str, scores: Tensor, bank_labels: Tensor, query_labels: Tensor) -> dict[str, float]:
        """``POINT_r1`` and ``POINT_map``."""
        relevant = query_labels[:, None] == bank_labels[None]
        nearest = relevant.gather(1, scores.argmax(1, keepdim=True))
        point, _, variant = name.rpartition(_SIMILARITY)
        found = {f'{point}r1{variant}': 100 * nearest.float().mean().item()}
        # without a class in common there is no precision to average
        if relevant.any():
            found[f'{point}map{variant}'] = 100 * torch.nanmean(average_precision(scores, relevant)).item()
        return found
