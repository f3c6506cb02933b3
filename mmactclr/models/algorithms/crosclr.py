"""CrosSCLR (Li et al., CVPR 2021): what one stream finds alike counts as positive in the others."""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.models.losses import cross_contrast
from mmactclr.registry import MODELS

from .aligned_streams import AlignedStreams
from .base import Views


@MODELS.register_module()
class CrosSCLR(AlignedStreams):
    """Two or three streams of :class:`MoCo` (SkeletonCLR), and later the cross-view loss in place of theirs.

    Li, Wang, Ni, Wang, Yang, Zhang, *3D Human Action Representation Learning via Cross-View Consistency Pursuit*, CVPR
    2021. At first the loss is the sum of the streams' InfoNCE. After ``cross_epoch`` it is the cross loss alone: for
    stream u taught by stream v the nearest key of v's query in v's memory is a positive of u beside its own key, over
    the similarities of u and, as context, their products with those of v (:func:`cross_contrast`). The loss of a
    stream is the mean over its teachers; those of the streams are summed. All key encoders follow in both stages.

    Args:
        branch: Config of the single-stream method, :class:`MoCo`; its ``loss`` gives the temperature of all terms.
        streams: Streams to train, two or three.
        cross_epoch: Epochs without the cross loss, as the run counts them from one: 150 crosses in epochs 151, 152, ...
        topk: Nearest keys of the teacher that are positives.
        context: Whether the products of similarities are part of the logits.
        kwargs: Arguments of :class:`MultiStream`.

    Raises:
        ConfigError: If there is one stream alone, ``cross_epoch`` is negative, or ``topk`` is not positive.
    """

    def __init__(self, branch: Mapping[str, Any], streams: Sequence[str] = ('joint', 'motion', 'bone'),
                 cross_epoch: int = 150, topk: int = 1, context: bool = True, **kwargs: Any) -> None:
        super().__init__(branch, streams, **kwargs)
        if not isinstance(cross_epoch, int) or cross_epoch < 0:
            raise ConfigError(f'CrosSCLR: cross_epoch is {cross_epoch}, expected the number of epochs without the '
                              'cross loss, from 0 up')
        if not isinstance(topk, int) or topk < 1:
            raise ConfigError(f'CrosSCLR: topk is {topk}, expected a positive number of nearest keys')
        self.cross_epoch, self.topk, self.context = cross_epoch, topk, context

    @property
    def crossing(self) -> bool:
        """Whether the streams teach each other, a function of the epoch alone."""
        return self.epoch >= self.cross_epoch

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """InfoNCE of every stream, later the cross loss alone, which has one graph through all streams.

        Views ``query`` and ``key`` are (N, M, T, V, C) in every stream.
        """
        # in every epoch: what is out of step at the start stays so until the streams teach each other
        self.memories()
        if self.crossing:
            yield 'loss_cross', self.cross(batch['inputs'], batch['masks'])
        else:
            yield from super().losses(batch)

    def cross(self, inputs: Mapping[str, Views], masks: Views) -> Tensor:
        """Sum over the streams of the mean cross loss by the other streams, a scalar."""
        positives: dict[str, Tensor] = {}
        similarities: dict[str, Tensor] = {}
        for stream, memory in self.memories().items():
            branch = self.contrastive_branches()[stream]
            branch.check_hooks()
            with branch.branch_rng():
                z_q = F.normalize(branch.project_query(inputs[stream], masks), dim=1)
                z_k = F.normalize(branch.project_key(inputs[stream], masks), dim=1)
            branch.hold(z_k)
            positives[stream] = (z_q * z_k).sum(1, keepdim=True)
            similarities[stream] = z_q @ memory.t()
        losses = []
        for stream, branch in self.contrastive_branches().items():
            terms = [cross_contrast(positives[stream], similarities[stream], similarities[teacher],
                                    branch.contrastive_loss.temperature, self.topk, self.context)
                     for teacher in similarities if teacher != stream]
            loss = cast(Tensor, sum(terms)) / len(terms)
            branch.log_scalars = {'cross': loss.detach()}
            losses.append(loss)
        return cast(Tensor, sum(losses))
