"""CMD (Mao et al., ECCV 2022): streams distil into each other how near the keys of their memories are."""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.registry import MODELS

from .aligned_streams import AlignedStreams
from .base import Views


@MODELS.register_module()
class CMD(AlignedStreams):
    """Bidirectional distillation of CMD on the streams and encoders of :class:`MoCo`.

    Mao, Zhou, Lu, Deng, Li, *CMD: Self-supervised 3D Action Representation Learning with Cross-modal Mutual
    Distillation*, ECCV 2022. The loss is the sum over the streams u of InfoNCE and, from every other stream v, of the
    distillation v -> u: v's key against v's memory is the teacher, u's query against u's memory the student
    (:func:`neighbour_distillation`). Its authors' encoder is a bidirectional GRU; here it is the encoder of the
    config, so that a comparison is one of losses.

    Args:
        branch: Config of the single-stream method, :class:`MoCo`; its ``loss`` gives the temperature of InfoNCE.
        distillation: Config of the :class:`NeighbourDistillationLoss`.
        streams: Streams to train, two or three.
        kwargs: Arguments of :class:`MultiStream`.

    Raises:
        ConfigError: If there is one stream alone.
    """

    def __init__(self, branch: Mapping[str, Any], distillation: Mapping[str, Any],
                 streams: Sequence[str] = ('joint', 'motion', 'bone'), **kwargs: Any) -> None:
        super().__init__(branch, streams, **kwargs)
        self.distillation = MODELS.build(dict(distillation))

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """A term for every stream: InfoNCE and what the others teach it, with a graph of its own.

        Views ``query`` and ``key`` are (N, M, T, V, C) in every stream.
        """
        inputs, masks, memories = batch['inputs'], batch['masks'], self.memories()
        # all teachers before the first student
        keys = self.keys(inputs, masks)
        teachers = {stream: keys[stream] @ memory.t() for stream, memory in memories.items()}
        for stream, branch in self.contrastive_branches().items():
            with branch.branch_rng():
                z_q = F.normalize(branch.project_query(inputs[stream], masks), dim=1)
                nce = branch.contrastive_loss(z_q, keys[stream], memories[stream])
                student = z_q @ memories[stream].t()
                taught = sum(self.distillation(student, teacher) for other, teacher in teachers.items()
                             if other != stream)
            branch.log_scalars = {'nce': nce.detach(), 'distillation': taught.detach()}
            yield f'{stream}.loss_cmd', nce + taught

    @torch.no_grad()
    def keys(self, inputs: Mapping[str, Views], masks: Views) -> dict[str, Tensor]:
        """Unit-length keys (N, D) of every stream, which wait for the memories from now on."""
        keys = {}
        for stream, branch in self.contrastive_branches().items():
            branch.check_hooks()
            with branch.branch_rng('key'):
                keys[stream] = F.normalize(branch.project_key(inputs[stream], masks), dim=1)
            branch.hold(keys[stream])
        return keys
