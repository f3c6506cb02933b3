"""Adjacency matrices of a skeleton for spatial graph convolution.

A[k, v, w] weighs what joint v sends to joint w in subset k, as in
``einsum('nkctv,kvw->nctw', x, A)``; every column of the sum over k adds up to one, but for ``inward_outward``, where
each subset is normalised by itself.
"""
from collections.abc import Mapping
from typing import Any

import torch

from mmactclr.errors import ConfigError, did_you_mean
from mmactclr.structures import Layout, get_layout

STRATEGIES = ('uniform', 'distance', 'spatial', 'inward_outward')
HOPS = ('one', 'full')


def normalised_neighbourhood(layout: str | Layout | Mapping[str, Any]) -> torch.Tensor:
    """Column-normalised (adjacency + identity): G of Eq. 5, supplement of Lin et al., CVPR 2023.

    Args:
        layout: Layout of V joints.

    Returns:
        (V, V) float32; every column sums to one.
    """
    layout = get_layout(layout)
    neighbours = torch.eye(layout.num_joints, dtype=torch.float64)
    for child, parent in layout.bones:
        neighbours[child, parent] = neighbours[parent, child] = 1
    return (neighbours / neighbours.sum(dim=0)).float()


def build_adjacency(layout: str | Layout | Mapping[str, Any],
                    strategy: str = 'spatial',
                    hops: str = 'one') -> torch.Tensor:
    """Split the one-hop neighbourhood of every joint into subsets (Yan et al., AAAI 2018, 3.3).

    Args:
        layout: Layout of V joints.
        strategy: ``uniform``, one subset; ``distance``, the joint itself and its neighbours;
            ``spatial``, the joint itself, its centrifugal neighbours (as far from the centre or
            further) and its centripetal ones (nearer to the centre); ``inward_outward``, the joint
            itself, its parent and its children, each subset normalised by itself (2s-AGCN, Shi et
            al., CVPR 2019; the public SkeleMixCLR weights).
        hops: How far distances to the centre are measured in ``spatial``. ``one``: up to one hop,
            everything beyond counting as equally far, as in the public ST-GCN code, so that the
            third subset holds only what the centre and its neighbours send outwards. Public
            weights need it. ``full``: the true distance.

    Returns:
        (K, V, V) float32, K = 1, 2 or 3 by strategy.

    Raises:
        ConfigError: If the strategy or the reach is unknown.
    """
    for key, value, known in (('strategy', strategy, STRATEGIES), ('hops', hops, HOPS)):
        if value not in known:
            raise ConfigError(f'graph: {key} is {value!r}; {did_you_mean(str(value), known)}'
                              f'choose one of {", ".join(known)}')
    layout = get_layout(layout)
    if strategy == 'inward_outward':
        return _inward_outward(layout)
    whole = normalised_neighbourhood(layout)
    own = torch.diag(whole.diagonal())
    others = whole - own
    if strategy == 'uniform':
        return whole[None]
    if strategy == 'distance':
        return torch.stack([own, others])
    depth = torch.tensor(layout.depth)
    if hops == 'one':
        depth = depth.clamp(max=2)
    sender_nearer = depth[:, None] < depth[None, :]
    return torch.stack([own, others * ~sender_nearer, others * sender_nearer])


def _inward_outward(layout: Layout) -> torch.Tensor:
    """Self links, parent to child, children to parent, every column that is not empty adding up to one."""
    subsets = torch.zeros(3, layout.num_joints, layout.num_joints)
    subsets[0].fill_diagonal_(1)
    for child, parent in layout.bones:
        subsets[1, parent, child] = subsets[2, child, parent] = 1
    return subsets / subsets.sum(1, keepdim=True).clamp(min=1)
