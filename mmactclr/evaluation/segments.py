"""Metrics of temporal segmentation that count actions rather than frames, as MS-TCN and its successors report them."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: Overlaps at which segmental F1 is reported.
OVERLAPS = (.1, .25, .5)


class Segment(NamedTuple):
    """A run of one label.

    Attributes:
        label: Class.
        start: First frame.
        stop: Frame after the last one.
    """

    label: int
    start: int
    stop: int


def segments_of(labels: np.ndarray, background: Sequence[int] = ()) -> list[Segment]:
    """Runs of equal labels of (T,) frames, without those of the background classes."""
    labels = np.asarray(labels)
    if not len(labels):
        return []
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(labels)]])
    return [Segment(int(labels[start]), int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)
            if labels[start] not in background]


def edit_score(truth: Sequence[Segment], prediction: Sequence[Segment]) -> float:
    """How alike the orders of actions are, 0 to 1: 1 - Levenshtein distance / longer number of segments.

    Two videos without any action are alike.
    """
    a, b = [segment.label for segment in truth], [segment.label for segment in prediction]
    if not a and not b:
        return 1.
    row = list(range(len(b) + 1))
    for i, label in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (label != other)))
    return 1. - row[-1] / max(len(a), len(b))


def count_hits(truth: Sequence[Segment], prediction: Sequence[Segment], overlap: float) -> tuple[int, int, int]:
    """True positives, false positives and false negatives of the segments of one video.

    In the order of time, a predicted segment is right when the segment of the truth with the same label that overlaps
    it most does so by at least ``overlap`` (intersection over union) and was not found before.
    """
    found = [False] * len(truth)
    hits = 0
    for segment in prediction:
        shares = [_iou(segment, other) if segment.label == other.label else 0. for other in truth]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= overlap and not found[best]:
            found[best] = True
            hits += 1
    return hits, len(prediction) - hits, len(truth) - hits


def _iou(a: Segment, b: Segment) -> float:
    return max(min(a.stop, b.stop) - max(a.start, b.start), 0) / (max(a.stop, b.stop) - min(a.start, b.start))


def segment_metrics(truths: Sequence[np.ndarray], predictions: Sequence[np.ndarray],
                    background: Sequence[int] = ()) -> dict[str, float]:
    """Edit score and segmental F1 of videos, 0 to 1.

    Args:
        truths: (T_i,) labels of every video.
        predictions: (T_i,) labels of every video.
        background: Classes that are no actions.

    Returns:
        ``edit``, the mean over the videos, and ``f1@10``, ``f1@25``, ``f1@50`` over the segments of all videos; F1 is 1
        where neither truth nor prediction has any.
    """
    pairs = [(segments_of(truth, background), segments_of(prediction, background))
             for truth, prediction in zip(truths, predictions, strict=True)]
    metrics = {'edit': float(np.mean([edit_score(*pair) for pair in pairs]))}
    for overlap in OVERLAPS:
        right, wrong, missed = np.sum([count_hits(*pair, overlap) for pair in pairs], axis=0)
        total = 2 * right + wrong + missed
        metrics[f'f1@{round(100 * overlap)}'] = float(2 * right / total) if total else 1.
    return metrics
