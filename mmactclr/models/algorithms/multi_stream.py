"""Joint, motion and bone branches in one run, from the same augmented joints."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS
from mmactclr.transforms import STREAMS

from .base import FRAME_SCORE, NO_MIXES, SCORE, BaseAlgorithm, Mixes, Views

# section 4 of the method; the release weighs motion as the others for one split, which is not followed
DEFAULT_FUSION = {'joint': 0.6, 'motion': 0.4, 'bone': 0.6}


@MODELS.register_module()
class MultiStream(BaseAlgorithm):
    """Independent single-stream methods side by side, each with its own encoder, projector and memory.

    Args:
        branch: Config of the single-stream method; its own ``stream`` and ``data_preprocessor`` do not count.
        streams: Streams to train.
        fusion: Weights of the streams' raw class scores, where the branches give any; a stream that is left out keeps
            its weight of the method.
        data_preprocessor: Config of the preprocessor that all branches share.

    Raises:
        ConfigError: If a stream is named twice, or one has no weight from 0 up.
    """

    def __init__(self, branch: Mapping[str, Any],
                 streams: Sequence[str] = ('joint', 'motion', 'bone'),
                 fusion: Mapping[str, float] = DEFAULT_FUSION,
                 data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        known = (data_preprocessor or {}).get('streams', STREAMS)
        if isinstance(streams, str) or len(set(streams)) != len(streams) or not streams or set(streams) - set(STREAMS):
            raise ConfigError(f'{type(self).__name__}: streams is {streams!r}, expected a list of some of '
                              f'{", ".join(STREAMS)}, each of them once')
        if set(streams) - set(known):
            raise ConfigError(f'{type(self).__name__}: streams are {list(streams)}, data_preprocessor.streams '
                              f'{list(known)}; name all of them there as well')
        self.fusion = check_fusion({**DEFAULT_FUSION, **fusion}, streams, 'MultiStream')
        self.stream_branches = nn.ModuleDict(
            {stream: MODELS.build(dict(branch, stream=stream, data_preprocessor=None)) for stream in streams})

    def init_weights(self) -> None:
        """Initialise every branch as a run of that stream alone would."""
        super().init_weights()
        for branch in self.branches().values():
            branch.init_weights()

    def branches(self) -> dict[str, BaseAlgorithm]:
        """The single-stream methods by stream."""
        return cast(dict[str, BaseAlgorithm], dict(self.stream_branches.items()))

    def view_names(self) -> tuple[str, ...]:
        """Views of the branches; all of them stand in the same stage."""
        return next(iter(self.branches().values())).view_names()

    @property
    def stage_epoch(self) -> int:
        """That of the branches, which all stand in the same stage."""
        return next(iter(self.branches().values())).stage_epoch

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """The terms of all branches, as :meth:`losses`."""
        yield from self.losses(dict(inputs=inputs, masks=masks, mixes=mixes))

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """The terms of all branches, one branch after the other.

        A branch computes nothing before the terms of those before it are taken: who runs the backward
        pass of each term at once never holds the graphs of two branches.
        """
        for stream, branch in self.branches().items():
            for name, loss in branch.losses(batch):
                yield f'{stream}.{name}', loss

    @torch.no_grad()
    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Feature points of every stream (``joint.backbone``, ...), all streams concatenated, and fused class scores.

        ``score`` is the weighted sum of the streams' raw class scores; other points are brought to unit length and
        concatenated.
        """
        features: dict[str, Tensor] = {}
        points: dict[str, dict[str, Tensor]] = {}
        for stream, branch in self.branches().items():
            for point, value in branch.extract(keypoint, mask).items():
                features[f'{stream}.{point}'] = value
                points.setdefault(point, {})[stream] = value
        joined: dict[str, Tensor] = {
            point: cast(Tensor, sum(self.fusion[stream] * value for stream, value in values.items()))
            if point in (SCORE, FRAME_SCORE)
            else torch.cat([F.normalize(value, dim=1) for value in values.values()], 1)
            for point, values in points.items()}
        return {**joined, **features}


def check_fusion(fusion: Mapping[str, float], streams: Iterable[str], who: str) -> dict[str, float]:
    """The weights of ``streams`` in a fusion of their raw class scores.

    Raises:
        ConfigError: If a stream has no weight, one is negative, or all are zero; ``who`` is named in the message.
    """
    weights: dict[str, Any] = {stream: fusion.get(stream) for stream in streams}
    bad = {stream: weight for stream, weight in weights.items() if weight is None or weight < 0}
    if bad or not any(weights.values()):
        raise ConfigError(f'{who}: fusion is {dict(fusion)}, expected a weight from 0 up for each of the streams '
                          f'{", ".join(weights)}, not all of them zero')
    return weights
