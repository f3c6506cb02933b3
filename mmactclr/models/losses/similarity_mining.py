"""Similarity mining: the key's similarities to the memory teach the query, Eq. 11."""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS


class Teacher(NamedTuple):
    """What the keys of a batch say about the memory.

    Attributes:
        log_probability: (N, K) log p_k, over the memory or over its chosen keys.
        chosen: (N, K) which keys of the memory; None for all of them in order.
    """

    log_probability: Tensor
    chosen: Tensor | None


@torch.no_grad()
def similarity_teacher(z_k: Tensor, memory: Tensor, tau_k: float, ceiling: float | None = None,
                       top_k: int | None = None) -> Teacher:
    """The teacher of :func:`similarity_mining`, for several students of the same keys."""
    teacher = F.normalize(z_k, dim=1) @ memory.t()
    if ceiling is not None:
        teacher = teacher.masked_fill(teacher > ceiling, -1.0)
    chosen = None
    if top_k is not None and top_k < len(memory):
        teacher, chosen = teacher.topk(top_k, dim=1)
    return Teacher(F.log_softmax(teacher / tau_k, dim=1), chosen)


def similarity_mining(z_q: Tensor, z_k: Tensor, memory: Tensor, tau_q: float, tau_k: float, squared: bool = False,
                      ceiling: float | None = None, top_k: int | None = None,
                      teacher: Teacher | None = None) -> tuple[Tensor, Tensor]:
    """Eq. 11, supplement of Lin et al., CVPR 2023: cross-entropy between two views' similarities.

    Args:
        z_q: (N, D) query projections, of any length.
        z_k: (N, D) key projections, of any length; the teacher, without gradient.
        memory: (K, D) unit-length keys of earlier steps. An empty memory gives a loss of zero.
        tau_q: Temperature of the student.
        tau_k: Temperature of the teacher, lower than ``tau_q``.
        squared: Square the student's similarities, as the authors' release does.
        ceiling: The teacher's similarities above it count as -1: nearly the sequence itself, as the release has it.
            None sets no limit.
        top_k: Compare over the teacher's ``top_k`` most similar keys only, as the release does; all if None.
        teacher: What :func:`similarity_teacher` made of ``z_k`` before.

    Returns:
        ``(loss, teacher_entropy)``: the mean cross-entropy, and the mean entropy H(p_k), without
        gradient; their difference is the KL divergence of the information-bottleneck view.
    """
    z_q = F.normalize(z_q, dim=1)
    if len(memory) == 0:
        return z_q.sum() * 0.0, z_q.new_zeros(())
    log_teacher, chosen = teacher or similarity_teacher(z_k, memory, tau_k, ceiling, top_k)
    probability = log_teacher.exp()
    student = z_q @ memory.t()
    if chosen is not None:
        student = student.gather(1, chosen)
    if squared:
        student = student.square()
    log_student = F.log_softmax(student / tau_q, dim=1)
    return -(probability * log_student).sum(1).mean(), -(probability * log_teacher).sum(1).mean()


@MODELS.register_module()
class SimilarityMiningLoss(nn.Module):
    """Module form of :func:`similarity_mining`.

    The defaults are the paper's. The authors' release has ``squared=True, ceiling=0.95, top_k=8192`` and
    logs the KL divergence, whose gradient is the same.

    Args:
        tau_q: Temperature of the student.
        tau_k: Temperature of the teacher.
        squared: Square the student's similarities.
        ceiling: The teacher's similarities above it count as -1.
        top_k: Compare over that many of the teacher's most similar keys.

    Raises:
        ConfigError: If a temperature or ``top_k`` is not positive.
    """

    def __init__(self, tau_q: float = 0.1, tau_k: float = 0.04, squared: bool = False,
                 ceiling: float | None = None, top_k: int | None = None) -> None:
        super().__init__()
        for name, value in dict(tau_q=tau_q, tau_k=tau_k, top_k=top_k).items():
            if value is not None and value <= 0:
                raise ConfigError(f'SimilarityMiningLoss: {name} is {value}, expected a positive number')
        self.tau_q, self.tau_k = tau_q, tau_k
        self.squared, self.ceiling, self.top_k = squared, ceiling, top_k

    def teacher(self, z_k: Tensor, memory: Tensor) -> Teacher:
        """What keys (N, D) say about a memory (K, D), for :meth:`forward` of several queries that share them."""
        return similarity_teacher(z_k, memory, self.tau_k, self.ceiling, self.top_k)

    def forward(self, z_q: Tensor, z_k: Tensor, memory: Tensor, teacher: Teacher | None = None
                ) -> tuple[Tensor, Tensor]:
        """Loss and teacher entropy of (N, D) queries and keys over a (K, D) memory; two scalars."""
        return similarity_mining(z_q, z_k, memory, self.tau_q, self.tau_k, self.squared, self.ceiling, self.top_k,
                                 teacher)
