"""Joint, motion and bone branches in one run, from the same augmented joints."""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS

from .base import NO_MIXES, BaseAlgorithm, Mixes, Views


@MODELS.register_module()
class MultiStream(BaseAlgorithm):
    """Independent single-stream methods side by side, each with its own encoder, projector and memory.

    Args:
        branch: Config of the single-stream method; its own ``stream`` and ``data_preprocessor`` do not count.
        streams: Streams to train.
        data_preprocessor: Config of the preprocessor that all branches share.
    """

    def __init__(self, branch: Mapping[str, Any],
                 streams: Sequence[str] = ('joint', 'motion', 'bone'),
                 data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if len(set(streams)) != len(streams) or not streams:
            raise ConfigError(f'MultiStream: streams are {list(streams)}, expected each of them once')
        self.stream_branches = nn.ModuleDict(
            {stream: MODELS.build(dict(branch, stream=stream, data_preprocessor=None)) for stream in streams})

    def init_weights(self) -> None:
        """Initialise every branch as a run of that stream alone would."""
        super().init_weights()
        for branch in self.stream_branches.values():
            branch.init_weights()

    def branches(self) -> dict[str, BaseAlgorithm]:
        """The single-stream methods by stream."""
        return dict(self.stream_branches.items())

    def view_names(self) -> tuple[str, ...]:
        """Views of the branches; all of them stand in the same stage."""
        return next(iter(self.stream_branches.values())).view_names()

    @property
    def stage_epoch(self) -> int:
        """That of the branches, which all stand in the same stage."""
        return next(iter(self.stream_branches.values())).stage_epoch

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """The terms of all branches, one branch after the other.

        A branch computes nothing before the terms of those before it are taken: who runs the backward
        pass of each term at once never holds the graphs of two branches.
        """
        for stream, branch in self.stream_branches.items():
            for name, loss in branch.loss_terms(inputs, masks, mixes):
                yield f'{stream}.{name}', loss

    @torch.no_grad()
    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Feature points of every stream (``joint.backbone``, ...) and all streams concatenated."""
        features, joined = {}, {}
        for stream, branch in self.stream_branches.items():
            for point, value in branch.extract(keypoint, mask).items():
                features[f'{stream}.{point}'] = value
                joined.setdefault(point, []).append(F.normalize(value, dim=1))
        return {**{point: torch.cat(values, 1) for point, values in joined.items()}, **features}
