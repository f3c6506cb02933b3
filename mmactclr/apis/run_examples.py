"""What an encoder makes of single test sequences: their neighbours, and the worst mistakes."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.datasets import SkeletonDataset
from mmactclr.errors import DataError
from mmactclr.evaluation.knn import knn_scores
from mmactclr.models.algorithms.base import SCORE, BaseAlgorithm

_BATCH, _BANK, _QUERY = 128, 0, 1
#: Neighbours that vote where a model has no classifier.
VOTERS = 20


@dataclass(frozen=True)
class SequenceVerdicts:
    """Test sequences, who is like them and what they are taken for.

    Attributes:
        queries: (Q,) their positions in the data set.
        truth: (Q,) classes.
        prediction: (Q,) classes.
        confidence: (Q,) share of the predicted class, from 0 to 1.
        neighbours: (Q, k) positions in the data set of the training sequences that are most like them, best first.
        similarity: (Q, k) cosine similarity.
        how: How ``prediction`` came about.
    """

    queries: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    confidence: np.ndarray
    neighbours: np.ndarray
    similarity: np.ndarray
    how: str

    def worst(self, number: int) -> np.ndarray:
        """Positions among the queries of the wrong ones of the highest confidence."""
        wrong = np.flatnonzero(self.prediction != self.truth)
        return wrong[np.argsort(-self.confidence[wrong], kind='stable')[:number]]

    def some(self, right: bool, number: int, labels: np.ndarray, seed: int = 0) -> np.ndarray:
        """Queries whose nearest neighbour is of their class, or is not, of as many classes as possible."""
        fits = (labels[self.neighbours[:, 0]] == self.truth) == right
        order = np.random.default_rng(seed).permutation(np.flatnonzero(fits))
        _, first = np.unique(self.truth[order], return_index=True)
        spread = [*np.sort(first), *np.setdiff1d(np.arange(len(order)), first)]
        return order[spread[:number]].astype(int)


@torch.no_grad()
def dataset_features(model: BaseAlgorithm, dataset: SkeletonDataset) -> tuple[Tensor, Tensor | None]:
    """Pooled encoder features (N, D) of a data set, and (N, K) raw class scores of a model with a classifier.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: A :class:`~mmactclr.datasets.SkeletonDataset`.

    Raises:
        DataError: If the model has no feature of a whole sequence, as a segmentor.
    """
    device = next(model.parameters()).device
    features, scores = [], []
    for start in range(0, len(dataset), _BATCH):
        batch = dataset.__getitems__(range(start, min(start + _BATCH, len(dataset))))
        found = model.extract(batch['inputs'].to(device), batch['mask'].to(device))
        feature = found.get('backbone')
        if feature is None or feature.dim() != 2:
            raise DataError(f'{type(model).__name__} gives no feature of a whole sequence, so sequences cannot be '
                            'compared')
        features.append(feature.float().cpu())
        if SCORE in found:
            scores.append(found[SCORE].float().cpu())
    return torch.cat(features), torch.cat(scores) if scores else None


def look_at_tests(model: BaseAlgorithm, dataset: SkeletonDataset, k: int = 3) -> SequenceVerdicts:
    """Classify the test sequences of a data set and find their neighbours in its training part.

    A classifier says what they are; without one the vote of the 20 nearest training sequences does.

    Args:
        model: From :func:`~mmactclr.apis.init_model`.
        dataset: A labelled :class:`~mmactclr.datasets.SkeletonDataset` of training and test part (``subset='both'``).
        k: Neighbours to name.

    Raises:
        DataError: If one of the parts is missing, or a sequence has no label.
    """
    labels, role = dataset.labels, dataset.role
    bank, queries = np.flatnonzero(role == _BANK), np.flatnonzero(role == _QUERY)
    if not len(bank) or not len(queries) or (labels < 0).any():
        raise DataError(f'{len(bank)} training and {len(queries)} test sequences, {int((labels < 0).sum())} of them '
                        'without a class; examples need both parts, labelled')
    features, scores = dataset_features(model, dataset)
    unit = F.normalize(features, dim=1)
    similarity, where = (unit[queries] @ unit[bank].T).topk(min(k, len(bank)), dim=1)
    if scores is not None:
        shares, how = scores[queries].softmax(1), 'classifier'
    else:
        shares = knn_scores(features[bank], torch.from_numpy(labels[bank]), features[queries], VOTERS)
        how = f'vote of the {min(VOTERS, len(bank))} nearest training sequences'
    confidence, prediction = shares.max(1)
    return SequenceVerdicts(queries, labels[queries], prediction.numpy(), confidence.numpy(), bank[where.numpy()],
                           similarity.numpy(), how)


def class_names(dataset: SkeletonDataset, labels: Sequence[int]) -> list[str]:
    """Names of classes, numbers where the data name fewer than a classifier tells apart."""
    known = dataset.metainfo['classes']
    return [str(known[k]) if 0 <= k < len(known) else f'class {k}' for k in labels]
