"""An encoder with a classifier on it: what a linear evaluation or a finetuning leaves behind."""
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout
from mmactclr.transforms import STREAMS, to_stream

from .base import SCORE, BaseAlgorithm


@MODELS.register_module()
class Recognizer(BaseAlgorithm):
    """Scores classes of prepared sequences with the encoder and the pooling of :class:`MoCo`.

    Args:
        layout: Joint layout of the data.
        backbone: Config of the encoder.
        head: Config of the :class:`ClassificationHead`; None for an encoder alone, which gives features only.
        stream: ``joint``, ``motion`` or ``bone``.
        skip_absent: Leave absent persons out of the encoder instead of averaging their zeros in.

    Raises:
        ConfigError: If the stream is not known, or the head takes another width than the encoder gives.

    Example:
        >>> model = Recognizer('ntu25', backbone=dict(type='STGCN', layout='ntu25'),
        ...                    head=dict(type='ClassificationHead', in_channels=256, num_classes=60)).eval()
        >>> model.extract(torch.zeros(1, 2, 50, 25, 3), torch.ones(1, 2, dtype=torch.bool))['score'].shape
        torch.Size([1, 60])
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, backbone: Mapping[str, Any],
                 head: Mapping[str, Any] | None, stream: str = 'joint', skip_absent: bool = False,
                 data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if stream not in STREAMS:
            raise ConfigError(f'Recognizer: stream is {stream!r}, expected one of {", ".join(STREAMS)}')
        self.layout = get_layout(layout)
        self.stream = stream
        self.skip_absent = skip_absent
        self.backbone = MODELS.build(dict(backbone))
        self.head = MODELS.build(dict(head)) if head is not None else None
        width = getattr(self.backbone, 'out_channels', None)
        if self.head is not None and width not in (None, self.head.in_channels):
            raise ConfigError(f'Recognizer: head.in_channels is {self.head.in_channels}, the backbone gives features '
                              f'of {width}; set both to the same number')

    @torch.no_grad()
    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Pooled feature and raw class scores of prepared joints.

        Args:
            keypoint: (N, M, T, V, C) prepared joints.
            mask: (N, M) who is present.

        Returns:
            ``backbone`` (N, D) and, with a head, ``score`` (N, num_classes).

        Raises:
            ConfigError: If the joints are not those of the model's layout.
        """
        if keypoint.shape[3] != self.layout.num_joints:
            raise ConfigError(f'Recognizer: input has {keypoint.shape[3]} joints, the model was built for layout '
                              f'{self.layout.name!r} with {self.layout.num_joints}; remap the data to that layout, or '
                              'use a model of its own')
        feature_map, rows = self.encode(self.backbone, to_stream(keypoint, self.stream, self.layout), mask)
        pooled = rows.mean(feature_map.mean((2, 3)))
        return {'backbone': pooled, **({SCORE: self.head(pooled)} if self.head is not None else {})}
