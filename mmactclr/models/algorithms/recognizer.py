"""An encoder with a classifier on it: linear evaluation, finetuning and training from scratch."""
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.errors import ConfigError, DataError
from mmactclr.models.backbones import check_feature_map
from mmactclr.registry import MODELS
from mmactclr.structures import Layout

from .base import SCORE
from .single_stream import SingleStream

VIEW = 'view'


@MODELS.register_module()
class Recognizer(SingleStream):
    """Scores classes of prepared sequences with the encoder and the pooling of :class:`MoCo`.

    Args:
        layout: Joint layout of the data.
        backbone: Config of the encoder.
        head: Config of the :class:`ClassificationHead`, whose ``in_channels`` are those of the encoder unless given;
            None for an encoder alone, which gives features only.
        stream: ``joint``, ``motion`` or ``bone``.
        skip_absent: Leave absent persons out of the encoder instead of averaging their zeros in.
        data_preprocessor: Config of the preprocessor; None where another module prepares the views.
        frozen: Train the head alone; the encoder stays in eval mode, so that batch norm and dropout do nothing new.

    Attributes:
        cached: Pooled feature of every sequence by its position in the archive (section 5 of the method needs each
            once, as a frozen encoder gives the same at every epoch); a hook fills it. None: they are computed.

    Raises:
        ConfigError: If the stream is not known, the encoder gives another map than it declares, or the head
            takes another width.

    Example:
        >>> model = Recognizer('ntu25', backbone=dict(type='STGCN', layout='ntu25'),
        ...                    head=dict(type='ClassificationHead', num_classes=60)).eval()
        >>> model.extract(torch.zeros(1, 2, 50, 25, 3), torch.ones(1, 2, dtype=torch.bool))['score'].shape
        torch.Size([1, 60])
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, backbone: Mapping[str, Any],
                 head: Mapping[str, Any] | None, stream: str = 'joint', skip_absent: bool = False,
                 frozen: bool = False, data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(layout, backbone, stream, skip_absent, data_preprocessor, init_cfg)
        check_feature_map(self.backbone, self.layout, type(self).__name__)
        self.frozen = frozen
        self.cached: Tensor | None = None
        self.backbone.requires_grad_(not frozen)
        self.head: Any = self.on_features('head', head) if head is not None else None

    def train(self, mode: bool = True) -> 'Recognizer':
        """Training mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def view_names(self) -> tuple[str, ...]:
        """One view."""
        return (VIEW,)

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """Cross-entropy of the class scores of ``inputs[stream]['view']``, (N, M, T, V, C).

        Raises:
            ConfigError: If there is no head to train.
            DataError: If a sequence has no label, or one that the head does not know.
        """
        scores, label = self.training_scores(batch), batch['label']
        self.log_scalars = {'train_top1': 100 * (scores.detach().argmax(1) == label).float().mean()}
        yield 'loss_cls', F.cross_entropy(scores, label)

    def training_scores(self, batch: Mapping[str, Any]) -> Tensor:
        """Raw class scores (N, num_classes) of a training batch, from cached features where there are any.

        Raises:
            ConfigError: If there is no head to train.
            DataError: If a sequence has no label, or one that the head does not know.
        """
        if self.head is None:
            raise ConfigError('Recognizer: head is None, there is nothing to train; give it a ClassificationHead')
        label = batch['label']
        if int(label.min()) < 0 or int(label.max()) >= self.head.num_classes:
            raise DataError(f'Recognizer: labels go from {int(label.min())} to {int(label.max())}, the head has '
                            f'num_classes={self.head.num_classes}; every training sequence needs a label from 0 up')
        with self.branch_rng():
            if self.cached is not None:
                pooled = self.cached[batch['index']]
            else:
                with torch.set_grad_enabled(not self.frozen):
                    pooled = self.pool(self.backbone, batch['inputs'][self.stream][VIEW], batch['masks'][VIEW])
            return self.head(pooled)

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
        pooled = self.features(keypoint, mask)
        return {'backbone': pooled, **({SCORE: self.head(pooled)} if self.head is not None else {})}
