"""InfoNCE against a memory of keys, Eq. 10."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS


def contrast_logits(z_q: Tensor, z_k: Tensor, memory: Tensor, temperature: float,
                    negative: Tensor | None = None) -> Tensor:
    """Similarities of a query to its key and to everything that is not, over the temperature.

    Args:
        z_q: (N, D) query projections, of any length.
        z_k: (N, D) key projections; no gradient flows into them.
        memory: (K, D) unit-length keys of earlier steps; K may be zero.
        temperature: tau.
        negative: (N, D) one more negative for each query; no gradient flows into it.

    Returns:
        (N, 1 + K) logits, or (N, 2 + K) with ``negative``: the key in column 0, then the memory, then ``negative``.
    """
    z_q, z_k = F.normalize(z_q, dim=1), F.normalize(z_k.detach(), dim=1)
    columns = [(z_q * z_k).sum(1, keepdim=True), z_q @ memory.t()]
    if negative is not None:
        columns.append((z_q * F.normalize(negative.detach(), dim=1)).sum(1, keepdim=True))
    return torch.cat(columns, dim=1) / temperature


def info_nce(z_q: Tensor, z_k: Tensor, memory: Tensor, temperature: float, negative: Tensor | None = None) -> Tensor:
    """Eq. 10, supplement of Lin et al., CVPR 2023: the key of the same sequence against all of the memory.

    Args:
        z_q: (N, D) query projections, of any length.
        z_k: (N, D) key projections; no gradient flows into them.
        memory: (K, D) unit-length keys of earlier steps; K may be zero.
        temperature: tau.
        negative: (N, D) one more negative for each query, beside the memory; no gradient flows into it.

    Returns:
        Mean loss over the batch, a scalar.
    """
    logits = contrast_logits(z_q, z_k, memory, temperature, negative)
    return (logits.logsumexp(1) - logits[:, 0]).mean()


@MODELS.register_module()
class InfoNCELoss(nn.Module):
    """Module form of :func:`info_nce`.

    Args:
        temperature: tau of Eq. 10.

    Raises:
        ConfigError: If the temperature is not positive.
    """

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f'InfoNCELoss: temperature is {temperature}, expected a positive number')
        self.temperature = temperature

    def logits(self, z_q: Tensor, z_k: Tensor, memory: Tensor) -> Tensor:
        """:func:`contrast_logits` at this temperature, (N, 1 + K)."""
        return contrast_logits(z_q, z_k, memory, self.temperature)

    def forward(self, z_q: Tensor, z_k: Tensor, memory: Tensor, negative: Tensor | None = None) -> Tensor:
        """Loss of (N, D) queries against their keys, a (K, D) memory and (N, D) further negatives; a scalar."""
        return info_nce(z_q, z_k, memory, self.temperature, negative)
