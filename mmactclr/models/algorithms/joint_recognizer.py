"""Classifiers of several streams that are trained together, on the mean of their scores."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS

from .multi_stream import MultiStream
from .recognizer import Recognizer


@MODELS.register_module()
class JointRecognizer(MultiStream):
    """A :class:`Recognizer` for every stream and one cross-entropy, on the mean of their raw class scores.

    The evaluation of CrosSCLR (Li et al., CVPR 2021). A :class:`MultiStream` of recognisers trains each with a loss of
    its own and fuses their scores afterwards, by 0.6 joint, 0.4 motion, 0.6 bone; here no stream needs to be right
    alone, and the mean that is trained is the score that is tested.

    Args:
        branch: Config of the :class:`Recognizer`.
        streams: Streams to train.
        kwargs: Arguments of :class:`MultiStream` besides ``fusion``.

    Raises:
        ConfigError: If the branches are no recognisers of whole sequences.
    """

    def __init__(self, branch: Mapping[str, Any], streams: Sequence[str] = ('joint', 'motion', 'bone'),
                 **kwargs: Any) -> None:
        if 'fusion' in kwargs:
            raise ConfigError(f'JointRecognizer: fusion is {dict(kwargs["fusion"])}, but what it trains is the mean of '
                              'the scores; leave fusion out, or take MultiStream')
        super().__init__(branch, streams, fusion=dict.fromkeys(streams, 1 / max(1, len(streams))), **kwargs)
        strange = [type(one).__name__ for one in self.stream_branches.values() if type(one) is not Recognizer]
        if strange:
            raise ConfigError(f'JointRecognizer: branch is of type {strange[0]}, expected Recognizer')

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """Cross-entropy of the mean of the streams' scores of ``inputs[stream]['view']``, (N, M, T, V, C)."""
        scores, label = self.mean_score(batch), batch['label']
        self.log_scalars = {'train_top1': 100 * (scores.detach().argmax(1) == label).float().mean()}
        yield 'loss_cls', F.cross_entropy(scores, label)

    def mean_score(self, batch: Mapping[str, Any]) -> Tensor:
        """Mean over the streams of the raw class scores of a training batch, (N, num_classes)."""
        branches = cast(Iterable[Recognizer], self.stream_branches.values())
        return torch.stack([branch.training_scores(batch) for branch in branches]).mean(0)
