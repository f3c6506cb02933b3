"""What methods with one encoder share: its stream, reproducible weights, pooling and features."""
import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models.backbones import feature_width
from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout
from mmactclr.transforms import STREAMS, to_stream
from mmactclr.utils import derive_seed, seeded_rng

from .base import BaseAlgorithm


class SingleStream(BaseAlgorithm):
    """A method on one stream, with an encoder ``backbone`` and, as far as a subclass sets one, a ``projector``.

    A method of your own says which views it needs and yields its losses; everything else is here.

    Args:
        layout: Joint layout of the data.
        backbone: Config of the encoder.
        stream: ``joint``, ``motion`` or ``bone``.
        skip_absent: Leave absent persons out of the encoder instead of averaging their zeros in.
        data_preprocessor: Config of the preprocessor; None where another module prepares the views.

    Raises:
        ConfigError: If the stream is not known.
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, backbone: Mapping[str, Any], stream: str = 'joint',
                 skip_absent: bool = False, data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if stream not in STREAMS:
            raise ConfigError(f'{type(self).__name__}: stream is {stream!r}, expected one of {", ".join(STREAMS)}')
        self.layout = get_layout(layout)
        self.stream = stream
        self.skip_absent = skip_absent
        self.backbone = MODELS.build(dict(backbone))
        self.projector: nn.Module | None = None

    def on_features(self, field: str, config: Mapping[str, Any]) -> nn.Module:
        """Build the part that takes the pooled feature; its ``in_channels`` follow the encoder unless given.

        Args:
            field: Field of the config that it comes from, for the message.
            config: Config of the part.

        Raises:
            ConfigError: If the config asks for another width than the encoder gives.
        """
        width = feature_width(self.backbone, self.layout, type(self).__name__)
        config = dict(config)
        kind = MODELS.get(config['type']) if isinstance(config.get('type'), str) else config.get('type')
        if kind is not None and 'in_channels' in inspect.signature(kind).parameters:
            config.setdefault('in_channels', width)
        part = MODELS.build(config)
        wanted = getattr(part, 'in_channels', width)
        if wanted != width:
            raise ConfigError(f'{type(self).__name__}: {field}.in_channels is {wanted}, the backbone gives features '
                              f'of {width}; leave {field}.in_channels out, then it follows the backbone')
        return part

    def init_weights(self) -> None:
        """Initialise from (seed, stream), whatever else was built before."""
        with seeded_rng(derive_seed('weights', torch.initial_seed(), self.stream)):
            for part in filter(None, (self.backbone, self.projector)):
                for module in part.modules():
                    if hasattr(module, 'reset_parameters'):
                        module.reset_parameters()
            super().init_weights()

    def pool(self, backbone: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """Mean over time, joints and persons of the feature map of (N, M, T, V, C), (N, D)."""
        feature_map, rows, where = self.encode_distinct(backbone, x, mask)
        pooled = feature_map.mean((2, 3))
        return rows.mean(pooled if where is None else pooled.index_select(0, where))

    @torch.no_grad()
    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Features of prepared joints.

        Args:
            keypoint: (N, M, T, V, C) prepared joints.
            mask: (N, M) who is present.

        Returns:
            Pooled feature ``backbone`` (N, D) and, with a projector, its unit-length ``projection``.

        Raises:
            ConfigError: If the joints are not those of the model's layout.
        """
        pooled = self.features(keypoint, mask)
        if self.projector is None:
            return {'backbone': pooled}
        return {'backbone': pooled, 'projection': F.normalize(self.projector(pooled), dim=1)}

    def features(self, keypoint: Tensor, mask: Tensor) -> Tensor:
        """:meth:`pool` of prepared joints, checked and brought to the stream.

        Raises:
            ConfigError: If the joints are not those of the model's layout.
        """
        if keypoint.shape[3] != self.layout.num_joints:
            raise ConfigError(f'{type(self).__name__}: input has {keypoint.shape[3]} joints, the model was built for '
                              f'layout {self.layout.name!r} with {self.layout.num_joints}; remap the data to that '
                              'layout, or use a model of its own')
        return self.pool(self.backbone, to_stream(keypoint, self.stream, self.layout), mask)
