"""An encoder with a classifier of frames on it: temporal segmentation of long sequences."""
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import MODELS

from .base import FRAME_SCORE
from .recognizer import VIEW, Recognizer

# Label of frames that do not count, as torch.nn.functional.cross_entropy has it.
_IGNORED = -100


@MODELS.register_module()
class Segmentor(Recognizer):
    """Scores every frame of a window (the segmentation protocol, section 5 of the method).

    The feature map is averaged over joints and persons; time is kept, the classifier scores every cell, and the scores
    are brought back to the frame rate of the input linearly.

    Args:
        args: Arguments of :class:`Recognizer`.
        kwargs: Arguments of :class:`Recognizer`.

    Raises:
        ConfigError: There is no head.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.head is None:
            raise ConfigError('Segmentor: head is None, frames cannot be scored; give it a ClassificationHead')

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """Cross-entropy of the scores of every frame of ``inputs[stream]['view']`` with ``label`` (N, T).

        Raises:
            DataError: If a label is none of the head's.
        """
        label = batch['label']
        counted = label != _IGNORED
        if bool(((label < 0) | (label >= self.head.num_classes))[counted].any()):
            raise DataError(f'Segmentor: labels go from {int(label[counted].min())} to {int(label[counted].max())}, '
                            f'the head has num_classes={self.head.num_classes}; background is a class, the last one')
        with self.branch_rng():
            if self.cached is not None:
                cells = self.cached[batch['index']]
            else:
                with torch.set_grad_enabled(not self.frozen):
                    cells = self.pool(self.backbone, batch['inputs'][self.stream][VIEW], batch['masks'][VIEW])
            scores = self._score(cells, label.shape[1])
            loss = F.cross_entropy(scores.transpose(1, 2), label, ignore_index=_IGNORED)
        right = (scores.detach().argmax(2) == label)[counted]
        self.log_scalars = {'train_accuracy': 100 * right.float().mean()}
        yield 'loss_frames', loss

    def pool(self, backbone: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """Mean over joints and persons of the feature map of (N, M, T, V, C), (N, D, T')."""
        feature_map, rows = self.encode(backbone, x, mask)
        cells = feature_map.mean(3)
        return rows.mean(cells.flatten(1)).view(-1, *cells.shape[1:])

    def _score(self, cells: Tensor, num_frames: int) -> Tensor:
        """(N, T, num_classes) scores from (N, D, T') features."""
        scores = self.head(cells.transpose(1, 2)).transpose(1, 2)
        return F.interpolate(scores, num_frames, mode='linear', align_corners=False).transpose(1, 2)

    @torch.no_grad()
    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``backbone`` (N, D, T') and ``frame_score`` (N, T, num_classes) of prepared windows (N, M, T, V, C)."""
        cells = self.features(keypoint, mask)
        return {'backbone': cells, FRAME_SCORE: self._score(cells, keypoint.shape[2])}
