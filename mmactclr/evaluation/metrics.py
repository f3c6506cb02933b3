"""What classifications, rankings and probabilities are worth; plain functions of label arrays."""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.errors import DataError

# Bins of confidence of the expected calibration error (Guo et al., ICML 2017).
CALIBRATION_BINS = 15


def confusion_matrix(truth: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    """How often every class was taken for every other.

    Args:
        truth: (N,) labels from 0.
        prediction: (N,) labels from 0.
        num_classes: K.

    Returns:
        (K, K) int64, rows are the truth.

    Raises:
        DataError: A label is not in 0 to K - 1, or the lengths differ.
    """
    if truth.shape != prediction.shape or truth.ndim != 1:
        raise DataError(f'truth has shape {tuple(truth.shape)}, prediction {tuple(prediction.shape)}; expected '
                        'as many labels in both')
    for name, labels in (('truth', truth), ('prediction', prediction)):
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise DataError(f'{name} has labels from {int(labels.min())} to {int(labels.max())}, expected 0 to '
                            f'{num_classes - 1}')
    counts = torch.bincount(truth.long() * num_classes + prediction.long(), minlength=num_classes ** 2)
    return counts.view(num_classes, num_classes)


def accuracy(confusion: Tensor) -> float:
    """Share of right ones; NaN where there are none at all."""
    return (confusion.diagonal().sum().double() / confusion.sum()).item()


def class_accuracy(confusion: Tensor) -> Tensor:
    """(K,) share of right ones in every class (recall), float64; NaN for a class that the truth lacks."""
    return confusion.diagonal().double() / confusion.sum(1)


def mean_class_accuracy(confusion: Tensor) -> float:
    """Mean of :func:`class_accuracy` over the classes of the truth."""
    return class_accuracy(confusion).nanmean().item()


def class_iou(confusion: Tensor) -> Tensor:
    """(K,) intersection over union of every class, float64; NaN for one in neither truth nor prediction."""
    right = confusion.diagonal().double()
    return right / (confusion.sum(0) + confusion.sum(1) - right)


def mean_iou(confusion: Tensor) -> float:
    """Mean of :func:`class_iou` over the classes of truth or prediction."""
    return class_iou(confusion).nanmean().item()


def frequency_weighted_iou(confusion: Tensor) -> float:
    """:func:`class_iou` weighted by how often a class occurs in the truth."""
    frequency = confusion.sum(1).double() / confusion.sum()
    return (frequency * class_iou(confusion).nan_to_num()).sum().item()


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart (Guo et al., ICML 2017).

    Args:
        probabilities: (N, K) rows that add up to one.
        labels: (N,).
        bins: Bins of equal width between 0 and 1 over the confidence, the largest probability.

    Returns:
        Mean over the bins of abs(accuracy - confidence), weighted by their sizes, from 0 to 1.
    """
    confidence, prediction = probabilities.double().max(1)
    right = (prediction == labels).double()
    # a bin holds what is above its lower and up to its upper edge
    number = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = torch.zeros(bins, dtype=torch.float64).index_add(0, number, right - confidence)
    return (gap.abs().sum() / len(labels)).item()


def average_precision(similarity: Tensor, relevant: Tensor) -> Tensor:
    """Average precision of every query's ranking of a gallery.

    The mean of the precisions at the ranks of the relevant items; items of equal similarity stay in the order of the
    gallery.

    Args:
        similarity: (Q, B), larger is nearer.
        relevant: (Q, B) bool.

    Returns:
        (Q,) float64; NaN for a query without a relevant item.
    """
    order = similarity.argsort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, order).double()
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64)
    return (hits.cumsum(1) / rank * hits).sum(1) / hits.sum(1)


def cosine_similarity(queries: Tensor, bank: Tensor) -> Tensor:
    """(Q, B) cosines of (Q, D) and (B, D)."""
    return F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).t()
