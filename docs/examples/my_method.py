"""Barlow Twins (Zbontar et al., ICML 2021) on skeletons: two views agree feature by feature, and features differ."""
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mmactclr.models import SingleStream
from mmactclr.registry import MODELS


@MODELS.register_module()
class BarlowTwins(SingleStream):
    """Two weak views through one encoder; no memory, no momentum, no negatives.

    Args:
        projector: Config of the projector.
        off_diagonal: Weight of the correlations between different features.
        kwargs: Arguments of ``SingleStream``: layout, backbone, stream, ...
    """

    def __init__(self, projector: Mapping[str, Any], off_diagonal: float = 0.005, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.projector = self.on_features('projector', projector)
        self.off_diagonal = off_diagonal

    def view_names(self) -> tuple[str, ...]:
        """Names of the views, as the config's ``data_preprocessor.views`` has them."""
        return ('one', 'two')

    def loss_terms(self, inputs: Mapping[str, Mapping[str, Tensor]], masks: Mapping[str, Tensor],
                   mixes: Mapping[str, Any] = {}) -> Iterator[tuple[str, Tensor]]:
        """The loss of ``inputs[stream]['one']`` and ``['two']``, each (N, M, T, V, C)."""
        views = inputs[self.stream]
        # dropout becomes a function of seed, stream and step, so that a resumed run goes on as it would have
        with self.branch_rng():
            one, two = (self.projector(self.pool(self.backbone, views[name], masks[name]))
                        for name in self.view_names())
        correlation = cross_correlation(one, two)
        own = correlation.diagonal()
        others = correlation.square().sum() - own.square().sum()
        # numbers for the log that are no losses
        self.log_scalars = {'agreement': own.detach().mean()}
        yield 'loss_barlow', (1 - own).square().sum() + self.off_diagonal * others


def cross_correlation(one: Tensor, two: Tensor) -> Tensor:
    """(D, D) correlations over a batch between the features of two views, (N, D) each."""
    one, two = ((z - z.mean(0)) / z.std(0, unbiased=False).clamp_min(torch.finfo(z.dtype).eps) for z in (one, two))
    return one.t() @ two / len(one)
