"""The projector of the contrastive stages."""
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmactclr.registry import MODELS


@MODELS.register_module()
class ProjectionMLP(BaseModule):
    """Two fully connected layers with a ReLU between: pooled feature to projection, not normalised.

    The projector of section 2 of the method; with ``batch_norm`` that of SkeleMixCLR (Chen et al., 2022).

    Args:
        in_channels: Width of the pooled feature.
        hidden_channels: Width between the two layers; that of the pooled feature unless given.
        out_channels: Width of the projection.
        init_std: Draw the weights from N(0, init_std), those of the batch norm from N(1, init_std), as the public
            release does; ``None`` keeps PyTorch's initialisation.
        batch_norm: Normalise over the batch between the first layer and the ReLU.
    """

    def __init__(self, in_channels: int = 256, hidden_channels: int | None = None, out_channels: int = 128,
                 init_std: float | None = None, batch_norm: bool = False,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        hidden_channels = in_channels if hidden_channels is None else hidden_channels
        norm = [nn.BatchNorm1d(hidden_channels)] if batch_norm else []
        self.layers = nn.Sequential(nn.Linear(in_channels, hidden_channels), *norm, nn.ReLU(),
                                    nn.Linear(hidden_channels, out_channels))
        self.init_std = init_std

    def init_weights(self) -> None:
        """Apply ``init_std``, then ``init_cfg``, which may load weights."""
        if self.init_std is not None:
            for module in self.layers:
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, 0.0, self.init_std)
                    nn.init.zeros_(module.bias)
                elif isinstance(module, nn.BatchNorm1d):
                    nn.init.normal_(module.weight, 1.0, self.init_std)
                    nn.init.zeros_(module.bias)
        super().init_weights()

    def forward(self, x: Tensor) -> Tensor:
        """Project (N, in_channels) to (N, out_channels)."""
        return self.layers(x)
