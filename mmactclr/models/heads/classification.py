"""The linear classifier on pooled features."""
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS


@MODELS.register_module()
class ClassificationHead(BaseModule):
    """One fully connected layer, from a pooled feature to class scores (the linear protocol of section 5).

    Args:
        in_channels: Width of the pooled feature.
        num_classes: Number of classes K.

    Raises:
        ConfigError: If one of them is not positive.
    """

    def __init__(self, in_channels: int, num_classes: int, init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        if in_channels < 1 or num_classes < 1:
            raise ConfigError(f'ClassificationHead: in_channels is {in_channels} and num_classes {num_classes}, '
                              'expected 1 or more of each')
        self.in_channels, self.num_classes = in_channels, num_classes
        self.fc = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """N(0, 0.01) and no bias, as a linear probe starts; then ``init_cfg``, which may load weights."""
        nn.init.normal_(self.fc.weight, 0.0, 0.01)
        nn.init.zeros_(self.fc.bias)
        super().init_weights()

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes), before any softmax, of features (N, in_channels)."""
        return self.fc(x)
