"""Actionlets: which joints and moments make a sequence differ from the static anchor, Eq. 4-5."""
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models.backbones.graph import normalised_neighbourhood
from mmactclr.models.persons import PersonRows
from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout

Selection = Literal['binary', 'max', 'saturate']
# what the release divides its map by before it clips it at one: nearly every positive entry saturates
RELEASE_SATURATION = 1e-8


def nearest_anchor(z: Tensor, z_anchor: Tensor) -> Tensor:
    """Of several anchors (K, D) for every projection (N, D) the most similar, (N, D); a single one as it is, (1, D)."""
    if len(z_anchor) == 1:
        return z_anchor
    similarity = F.normalize(z, dim=1) @ F.normalize(z_anchor, dim=1).t().to(z.dtype)
    return z_anchor[similarity.argmax(1)]


def anchor_gradient(pooled: Tensor, projector: nn.Module, z_anchor: Tensor) -> Tensor:
    """Gradient of ``-cos(z, z_anchor)`` with respect to the pooled feature.

    The gradient is taken through the projector alone; parameters keep no trace of it.

    Args:
        pooled: (N, C) pooled features.
        projector: Maps (N, C) to (N, D).
        z_anchor: (1, D) projection of the static anchor, of any length; of several (K, D) the nearest counts.

    Returns:
        (N, C) gradient, one row a sequence.
    """
    with torch.enable_grad():
        leaf = pooled.detach().requires_grad_(True)
        z = projector(leaf)
        nearest = nearest_anchor(z.detach(), z_anchor.detach())
        distance = -F.cosine_similarity(z, nearest.to(z.dtype), dim=1).sum()
        return torch.autograd.grad(distance, leaf)[0]


def actionlet_map(feature_map: Tensor, rows: PersonRows, gradient: Tensor, neighbourhood: Tensor,
                  signed: bool = False, channels: Literal['sum', 'mean'] = 'sum') -> Tensor:
    """Eq. 4-5, supplement of Lin et al., CVPR 2023, in closed form.

    Average pooling spreads one gradient evenly over all cells, so the channel weights need no pass
    through the encoder: alpha = relu(gradient) / (persons * T' * V).

    Args:
        feature_map: (P, C, T', V) encoder output h.
        rows: Which sequence every row belongs to.
        gradient: (N, C) from :func:`anchor_gradient`.
        neighbourhood: (V, V) matrix that smooths over joints, every column of which sums to one: G of
            Eq. 5, or that of :func:`part_neighbourhood`.
        signed: Leave the relu on alpha out, as the authors' release does.
        channels: Sum over channels (the paper) or mean (the release).

    Returns:
        (P, T', V) actionlet A, not negative, not normalised.
    """
    cells = feature_map.shape[2] * feature_map.shape[3]
    alpha = (gradient if signed else gradient.relu()) / (rows.count()[:, None].to(gradient.dtype) * cells)
    if channels == 'mean':
        alpha = alpha / feature_map.shape[1]
    activation = torch.einsum('pc,pctv->ptv', alpha[rows.owner], feature_map).relu()
    return activation @ neighbourhood


def part_neighbourhood(layout: str | Mapping[str, Any] | Layout) -> Tensor:
    """(V, V) matrix that gives every joint the mean over its body part; in place of G in the release."""
    part = torch.tensor(get_layout(layout).part_of)
    same = (part[:, None] == part).float()
    return same / same.sum(0)


def select_region(actionlet: Tensor, mode: Selection = 'binary', saturation: float = RELEASE_SATURATION) -> Tensor:
    """Turn the raw actionlet (P, T', V) into a selection in [0, 1] of the same shape.

    ``binary`` keeps cells above the person's mean; ``max`` divides by the person's maximum;
    ``saturate`` divides by ``saturation`` and clips at one, as the authors' release does. A zero map
    stays zero in all of them.

    Raises:
        ConfigError: If there is no such mode.
    """
    if mode == 'binary':
        return (actionlet > actionlet.mean((1, 2), keepdim=True)).to(actionlet.dtype)
    if mode == 'max':
        return actionlet / actionlet.amax((1, 2), keepdim=True).clamp(min=torch.finfo(actionlet.dtype).tiny)
    if mode == 'saturate':
        return (actionlet / saturation).clamp(max=1.0)
    raise ConfigError(f"actionlet selection is {mode!r}, expected 'binary', 'max' or 'saturate'")


def upsample_region(region: Tensor, num_frames: int) -> Tensor:
    """Interpolate (P, T', V) bilinearly, corners aligned, to (P, num_frames, V)."""
    size = (num_frames, region.shape[2])
    return F.interpolate(region[:, None], size=size, mode='bilinear', align_corners=True)[:, 0]


def semantic_aware_pooling(feature_map: Tensor, actionlet: Tensor) -> Tensor:
    """SAFP, section 3.4 of the method: average pooling weighted by the actionlet, per person.

    Args:
        feature_map: (P, C, T', V) encoder output.
        actionlet: (P, T', V) raw weights; a map that is zero everywhere falls back to the plain mean.

    Returns:
        (P, C) pooled features.
    """
    total = actionlet.sum((1, 2), keepdim=True)
    uniform = 1.0 / (actionlet.shape[1] * actionlet.shape[2])
    positive = total > 0
    weight = torch.where(positive, actionlet / torch.where(positive, total, 1.0), uniform)
    return torch.einsum('ptv,pctv->pc', weight, feature_map)


@MODELS.register_module()
class ActionletHead(BaseModule):
    """Finds the actionlet of encoded sequences and what follows from it.

    The defaults are the paper's. The authors' release has ``signed=True, channels='mean',
    smoothing='part', selection='saturate', pooling='selection'``.

    Args:
        layout: Joint layout; its bones or parts smooth the activation over joints.
        selection: How the actionlet becomes a mask for the transformation, see :func:`select_region`.
        smoothing: ``adjacency``, G of Eq. 5, or ``part``, the mean over each body part.
        signed: Leave the relu on alpha out.
        channels: ``sum`` or ``mean`` over channels.
        saturation: See :func:`select_region`; counts for ``selection='saturate'``.
        pooling: What weighs in :func:`semantic_aware_pooling`: the ``raw`` actionlet or its ``selection``.

    Raises:
        ConfigError: If a switch has no such position.
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, selection: Selection = 'binary',
                 smoothing: Literal['adjacency', 'part'] = 'adjacency', signed: bool = False,
                 channels: Literal['sum', 'mean'] = 'sum', saturation: float = RELEASE_SATURATION,
                 pooling: Literal['raw', 'selection'] = 'raw') -> None:
        super().__init__()
        for name, value, known in (('selection', selection, ('binary', 'max', 'saturate')),
                                   ('smoothing', smoothing, ('adjacency', 'part')),
                                   ('channels', channels, ('sum', 'mean')), ('pooling', pooling, ('raw', 'selection'))):
            if value not in known:
                raise ConfigError(f'ActionletHead: {name} is {value!r}, expected one of {", ".join(known)}')
        if saturation <= 0:
            raise ConfigError(f'ActionletHead: saturation is {saturation}, expected a positive number')
        self.selection, self.saturation, self.pooling = selection, saturation, pooling
        self.signed, self.channels = signed, channels
        smooth = normalised_neighbourhood if smoothing == 'adjacency' else part_neighbourhood
        self.register_buffer('neighbourhood', smooth(get_layout(layout)), persistent=False)

    @torch.no_grad()
    def forward(self, feature_map: Tensor, rows: PersonRows, projector: nn.Module,
                z_anchor: Tensor) -> Tensor:
        """Raw actionlet (P, T', V) of a feature map (P, C, T', V); zero for absent persons.

        Raises:
            ConfigError: If the map has other joints than the layout.
        """
        if feature_map.shape[3] != len(self.neighbourhood):
            raise ConfigError(f'ActionletHead: the feature map has {feature_map.shape[3]} joints, its layout has '
                              f'{len(self.neighbourhood)}; the backbone must keep the joints for an actionlet: '
                              "(N, C, T, V) -> (N, C', T', V)")
        pooled = rows.mean(feature_map.mean((2, 3)))
        gradient = anchor_gradient(pooled, projector, z_anchor)
        actionlet = actionlet_map(feature_map, rows, gradient, self.neighbourhood.to(feature_map.dtype),
                                  self.signed, self.channels)
        return actionlet * rows.present[:, None, None]

    def select(self, actionlet: Tensor) -> Tensor:
        """Selection in [0, 1] of a raw actionlet (P, T', V)."""
        return select_region(actionlet, self.selection, self.saturation)

    def region(self, actionlet: Tensor, num_frames: int) -> Tensor:
        """Selection in [0, 1] at full frame rate, (P, num_frames, V)."""
        return upsample_region(self.select(actionlet), num_frames)

    def pool(self, feature_map: Tensor, actionlet: Tensor) -> Tensor:
        """SAFP of a feature map (P, C, T', V) with what ``pooling`` says; (P, C)."""
        weight = actionlet if self.pooling == 'raw' else self.select(actionlet)
        return semantic_aware_pooling(feature_map, weight)
