"""Contrast with several positives: the key and nearest neighbours in the memory."""
import torch
from torch import Tensor


def multi_positive(logits: Tensor, positives: Tensor) -> Tensor:
    """``-(1 / |P|) sum over p in P of log softmax(logits)[p]``, the loss of nearest-neighbour mining.

    Guo et al., *Contrastive Learning from Extremely Augmented Skeleton Sequences*, AAAI 2022, section on nearest
    neighbours mining. With the key as the only positive it is InfoNCE.

    Args:
        logits: (N, L) similarities over a temperature.
        positives: (N, L) bool, the set P of every row; at least one column in each.

    Returns:
        Mean loss over the batch, a scalar.
    """
    chosen = positives.to(logits.dtype)
    return -((logits.log_softmax(1) * chosen).sum(1) / chosen.sum(1)).mean()


@torch.no_grad()
def key_and_neighbours(*logits: Tensor, mining: bool = True) -> Tensor:
    """The key, and with ``mining`` the nearest memory entry of each of several queries, as a set.

    Args:
        logits: (N, 1 + K) similarities of queries that share their key and memory, the key in column 0; K may be
            zero.
        mining: Whether neighbours count.

    Returns:
        (N, 1 + K) bool, one to ``1 + len(logits)`` columns in each row: a neighbour that several queries share is
        one positive.
    """
    positives = torch.zeros_like(logits[0], dtype=torch.bool)
    positives[:, 0] = True
    if mining and positives.shape[1] > 1:
        for one in logits:
            positives.scatter_(1, 1 + one[:, 1:].argmax(1, keepdim=True), True)
    return positives
