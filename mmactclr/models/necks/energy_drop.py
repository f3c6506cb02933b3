"""Attention-guided drop: zeroes what stands out most in a feature map."""
import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS

# keeps the attention finite where a channel is constant, the value of the authors' code
_EPS = 1e-4


def energy_attention(feature_map: Tensor) -> Tensor:
    """How much every entry stands out from its channel, by energy: no parameters.

    ``sigmoid(d / (4 (sum d / (T'V - 1) + 1e-4)) + 0.5)`` with d the squared distance from the mean over (t, v).

    Args:
        feature_map: (P, C, T', V).

    Returns:
        (P, C, T', V) between sigmoid(0.5) = 0.62, where an entry is the mean, and 1.
    """
    distance = (feature_map - feature_map.mean((2, 3), keepdim=True)).square()
    variance = distance.sum((2, 3), keepdim=True) / (feature_map[0, 0].numel() - 1)
    return torch.sigmoid(distance / (4 * (variance + _EPS)) + 0.5)


def energy_drop(feature_map: Tensor, threshold: float) -> Tensor:
    """Zero the joints, then the single entries, whose attention reaches a threshold.

    The attention of a joint is the mean over channels and cells of its person. Both are those of the map as it comes
    in. After each of the two drops what is left is scaled by (entries of the mask / entries kept), over the whole
    batch.

    Args:
        feature_map: (P, C, T', V).
        threshold: Attention from which on is dropped; no probability.

    Returns:
        (P, C, T', V).
    """
    with torch.no_grad():
        attention = energy_attention(feature_map)
        joints = (attention.mean((1, 2)) < threshold).to(feature_map.dtype)
        entries = (attention < threshold).to(feature_map.dtype)
    joints = _rescaled(joints)[:, None, None]
    return feature_map * joints * _rescaled(entries)


def _rescaled(kept: Tensor) -> Tensor:
    # clamped: where nothing is left there is nothing to scale
    return kept * (kept.numel() / kept.sum().clamp(min=1))


@MODELS.register_module()
class EnergyDrop(nn.Module):
    """Energy-based attention-guided drop of AimCLR on a feature map.

    Guo et al., *Contrastive Learning from Extremely Augmented Skeleton Sequences*, AAAI 2022, section on the
    energy-based attention-guided drop module; see :func:`energy_drop`.

    Args:
        threshold: Attention from which on a joint or an entry is dropped, between sigmoid(0.5) and 1. The authors'
            code calls it ``keep_prob``, though it is no probability.

    Raises:
        ConfigError: If the threshold lies outside, so that everything or nothing would be dropped.
    """

    def __init__(self, threshold: float = 0.7) -> None:
        super().__init__()
        lowest = torch.tensor(0.5).sigmoid().item()
        if not lowest < threshold < 1:
            raise ConfigError(f'EnergyDrop: threshold is {threshold}, expected a number between {lowest:.3f} (drops '
                              'everything) and 1 (drops nothing)')
        self.threshold = threshold

    def forward(self, feature_map: Tensor) -> Tensor:
        """The feature map (P, C, T', V) without what stands out most."""
        return energy_drop(feature_map, self.threshold)
