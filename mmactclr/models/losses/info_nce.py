"""InfoNCE against a memory of keys, Eq. 10."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.registry import MODELS


def info_nce(z_q: Tensor, z_k: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """Eq. 10, supplement of Lin et al., CVPR 2023: the key of the same sequence against all of the memory.

    Args:
        z_q: (N, D) query projections, of any length.
        z_k: (N, D) key projections; no gradient flows into them.
        memory: (K, D) unit-length keys of earlier steps; K may be zero.
        temperature: tau.

    Returns:
        Mean loss over the batch, a scalar.
    """
    z_q, z_k = F.normalize(z_q, dim=1), F.normalize(z_k.detach(), dim=1)
    positive = (z_q * z_k).sum(1, keepdim=True)
    logits = torch.cat([positive, z_q @ memory.t()], dim=1) / temperature
    return (logits.logsumexp(1) - logits[:, 0]).mean()


@MODELS.register_module()
class InfoNCELoss(nn.Module):
    """Module form of :func:`info_nce`.

    Args:
        temperature: tau of Eq. 10.
    """

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, z_q: Tensor, z_k: Tensor, memory: Tensor) -> Tensor:
        """Loss of (N, D) queries against their keys and a (K, D) memory; a scalar."""
        return info_nce(z_q, z_k, memory, self.temperature)
