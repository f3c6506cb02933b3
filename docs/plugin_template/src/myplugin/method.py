"""A pretraining method: SimSiam (Chen, He, CVPR 2021), two views without negatives."""
from collections.abc import Iterator, Mapping
from typing import Any

import torch.nn.functional as F
from mmactclr.models import SingleStream
from mmactclr.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class SimSiam(SingleStream):
    """Each view predicts the projection of the other one, through which no gradient flows.

    Args:
        projector: Config of the projector.
        predictor: Config of the predictor, from projection to projection.
        kwargs: Arguments of ``SingleStream``: layout, backbone, stream, ...
    """

    def __init__(self, projector: Mapping[str, Any], predictor: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.projector = MODELS.build(dict(projector))
        self.predictor = MODELS.build(dict(predictor))

    def view_names(self) -> tuple[str, ...]:
        """Names of the views, as the config's ``data_preprocessor.views`` has them."""
        return ('one', 'two')

    def loss_terms(self, inputs: Mapping[str, Mapping[str, Tensor]], masks: Mapping[str, Tensor],
                   mixes: Mapping[str, Any] = {}) -> Iterator[tuple[str, Tensor]]:
        """Mean of both negative cosines, Eq. 2 to 4; views are (N, M, T, V, C)."""
        views = inputs[self.stream]
        # dropout becomes a function of seed, stream and step, so that a resumed run goes on as it would have
        with self.branch_rng():
            one, two = (self.projector(self.pool(self.backbone, views[name], masks[name]))
                        for name in self.view_names())
            yield 'loss_simsiam', (distance(self.predictor(one), two) + distance(self.predictor(two), one)) / 2


def distance(predicted: Tensor, target: Tensor) -> Tensor:
    """Negative mean cosine of rows, (N, D) each; Eq. 1."""
    return -F.cosine_similarity(predicted, target.detach(), dim=1).mean()
