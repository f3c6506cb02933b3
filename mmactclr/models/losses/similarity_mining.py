"""Similarity mining: the key's similarities to the memory teach the query, Eq. 11."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import MODELS


def similarity_mining(z_q: Tensor, z_k: Tensor, memory: Tensor, tau_q: float,
                      tau_k: float) -> tuple[Tensor, Tensor]:
    """Eq. 11, supplement of Lin et al., CVPR 2023: cross-entropy between two views' similarities.

    Args:
        z_q: (N, D) query projections, of any length.
        z_k: (N, D) key projections, of any length; the teacher, without gradient.
        memory: (K, D) unit-length keys of earlier steps. An empty memory gives a loss of zero.
        tau_q: Temperature of the student.
        tau_k: Temperature of the teacher, lower than ``tau_q``.

    Returns:
        ``(loss, teacher_entropy)``: the mean cross-entropy, and the mean entropy H(p_k), without
        gradient; their difference is the KL divergence of the information-bottleneck view.
    """
    z_q, z_k = F.normalize(z_q, dim=1), F.normalize(z_k.detach(), dim=1)
    if len(memory) == 0:
        return z_q.sum() * 0.0, z_q.new_zeros(())
    log_student = F.log_softmax(z_q @ memory.t() / tau_q, dim=1)
    with torch.no_grad():
        log_teacher = F.log_softmax(z_k @ memory.t() / tau_k, dim=1)
        teacher = log_teacher.exp()
        entropy = -(teacher * log_teacher).sum(1).mean()
    return -(teacher * log_student).sum(1).mean(), entropy


@MODELS.register_module()
class SimilarityMiningLoss(nn.Module):
    """Module form of :func:`similarity_mining`.

    Args:
        tau_q: Temperature of the student.
        tau_k: Temperature of the teacher.
    """

    def __init__(self, tau_q: float = 0.1, tau_k: float = 0.04) -> None:
        super().__init__()
        self.tau_q, self.tau_k = tau_q, tau_k

    def forward(self, z_q: Tensor, z_k: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and teacher entropy of (N, D) queries and keys over a (K, D) memory; two scalars."""
        return similarity_mining(z_q, z_k, memory, self.tau_q, self.tau_k)
