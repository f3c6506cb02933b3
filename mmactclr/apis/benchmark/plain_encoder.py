"""ST-GCN without any shortcut, to measure against: channels first, layer by layer, every person through every layer."""
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from mmactclr.models.backbones import STGCN
from mmactclr.models.backbones.stgcn import STGCNUnit


class PlainUnit(nn.Module):
    """A unit as Yan et al., AAAI 2018, describe it, with the weights of one of ours.

    Args:
        unit: Unit to take sizes and weights from.
    """

    def __init__(self, unit: STGCNUnit) -> None:
        super().__init__()
        norm, _, convolution, last, dropout = cast(Iterable[Any], unit.tcn)
        out, cin = unit.gcn.out_channels, unit.gcn.in_channels
        self.num_subsets = unit.gcn.num_subsets
        self.gcn = nn.Conv2d(cin, out * self.num_subsets, 1)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out), nn.ReLU(inplace=True),
            nn.Conv2d(out, out, convolution.kernel_size, convolution.stride, convolution.padding),
            nn.BatchNorm2d(out), nn.Dropout(dropout.p, inplace=True))
        self.residual: nn.Module | None = None
        if isinstance(unit.residual, nn.Sequential):
            self.residual = nn.Sequential(nn.Conv2d(cin, out, 1, convolution.stride), nn.BatchNorm2d(out))
            self.residual.load_state_dict(unit.residual.state_dict())
        elif unit.residual is not None:
            self.residual = nn.Identity()
        self.gcn.load_state_dict(unit.gcn.state_dict())
        self.tcn.load_state_dict(unit.tcn.state_dict())

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Map (N, C_in, T, V) to (N, C_out, ceil(T / stride), V)."""
        y = self.gcn(x)
        n, _, t, v = y.shape
        y = torch.einsum('nkctv,kvw->nctw', y.view(n, self.num_subsets, -1, t, v), adjacency)
        y = self.tcn(y.contiguous())
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


class PlainSTGCN(nn.Module):
    """The encoder of the papers, with the weights of one of ours.

    Args:
        encoder: Encoder to take sizes and weights from.
    """

    def __init__(self, encoder: STGCN) -> None:
        super().__init__()
        self.register_buffer('adjacency', encoder.adjacency.clone())
        self.data_bn = nn.BatchNorm1d(encoder.data_bn.num_features)
        self.data_bn.load_state_dict(encoder.data_bn.state_dict())
        self.units = nn.ModuleList(PlainUnit(cast(STGCNUnit, unit)) for unit in encoder.units)
        self.importance = nn.ParameterList(
            nn.Parameter(importance.detach().clone()) for importance in encoder.edge_importance)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (N', C, T, V) coordinates to a feature map (N', C', T', V)."""
        n, c, t, v = x.shape
        x = self.data_bn(x.permute(0, 3, 1, 2).reshape(n, v * c, t))
        x = x.view(n, v, c, t).permute(0, 2, 3, 1).contiguous()
        for unit, importance in zip(self.units, self.importance, strict=True):
            x = unit(x, self.adjacency * importance)
        return x
