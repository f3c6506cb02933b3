"""The gradient behind an actionlet, Eq. 4, written out: formats for deployment know no automatic differentiation."""
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models import ProjectionMLP

# below it torch.nn.functional.cosine_similarity takes a length for it
_EPS = 1e-8


def projector_layers(projector: nn.Module) -> list[nn.Module]:
    """Layers of a projector in their order, those left out that do nothing in eval mode.

    Raises:
        ConfigError: If one of them is of a kind whose derivative is not written out here.
    """
    if isinstance(projector, (nn.Identity, nn.Dropout)):
        return []
    if isinstance(projector, nn.Sequential):
        return [layer for part in projector for layer in projector_layers(part)]
    if isinstance(projector, ProjectionMLP):
        return projector_layers(projector.layers)
    if isinstance(projector, (nn.Linear, nn.ReLU, nn.BatchNorm1d)):
        return [projector]
    raise ConfigError(f'a projector with a {type(projector).__name__} has no actionlet in closed form, expected one of '
                      'Linear, ReLU and BatchNorm1d layers; export another part of the model')


def closed_anchor_gradient(pooled: Tensor, projector: nn.Module, z_anchor: Tensor) -> Tensor:
    """What :func:`mmactclr.models.heads.anchor_gradient` gives, from products and comparisons alone.

    With z = g(pooled), unit vectors u = z / ‖z‖ and a of the anchor: d(-cos)/dz = (cos u - a) / ‖z‖, then back through
    the layers: W^T of a fully connected one, the mask x > 0 of a ReLU, the factor of a batch norm.

    Args:
        pooled: (N, C) pooled features.
        projector: Maps (N, C) to (N, D); in eval mode.
        z_anchor: (1, D) projection of the static anchor, of any length.

    Returns:
        (N, C) gradient of ``-cos(projector(pooled), z_anchor)``.

    Raises:
        ConfigError: If the projector has a layer of another kind.
    """
    z, seen = pooled, []
    for layer in projector_layers(projector):
        seen.append((layer, z))
        z = layer(z)
    anchor = z_anchor / z_anchor.norm(dim=1, keepdim=True).clamp(min=_EPS)
    length = z.norm(dim=1, keepdim=True).clamp(min=_EPS)
    unit = z / length
    gradient = ((unit * anchor).sum(1, keepdim=True) * unit - anchor) / length
    for layer, x in reversed(seen):
        gradient = _through(layer, x, gradient)
    return gradient


def _through(layer: Any, x: Tensor, gradient: Tensor) -> Tensor:
    """Gradient with respect to the input ``x`` of a layer from that with respect to its output."""
    if isinstance(layer, nn.Linear):
        return gradient @ layer.weight
    if isinstance(layer, nn.ReLU):
        return torch.where(x > 0, gradient, torch.zeros_like(gradient))
    scale = (layer.running_var + layer.eps).rsqrt()
    return gradient * (scale if layer.weight is None else scale * layer.weight)
