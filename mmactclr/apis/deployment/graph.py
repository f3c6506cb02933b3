"""A model as one function of prepared joints and who is there, of operations that ONNX has."""
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models import ActCLR, ActionletHead, BaseAlgorithm
from mmactclr.models.algorithms.base import FRAME_SCORE, SCORE
from mmactclr.models.algorithms.single_stream import SingleStream
from mmactclr.models.persons import persons_there
from mmactclr.structures import Layout
from mmactclr.utils import eval_mode

from .closed_form import closed_anchor_gradient, projector_layers

PARTS = ('embedding', 'recognizer', 'actionlet')


def default_part(model: nn.Module) -> str:
    """``recognizer`` for a model with a classifier, ``embedding`` for any other."""
    return 'recognizer' if _has_classifier(model) else 'embedding'


def exportable_branches(model: nn.Module) -> dict[str, SingleStream]:
    """The single-stream methods inside a model, by stream.

    Raises:
        ConfigError: If the model has none, or one of another kind.
    """
    branches = model.branches() if isinstance(model, BaseAlgorithm) else {}
    strange = [type(branch).__name__ for branch in branches.values() if not isinstance(branch, SingleStream)]
    if strange or not branches:
        raise ConfigError(f'a model of type {(strange or [type(model).__name__])[0]} cannot be exported, expected one '
                          'with an encoder for every stream, such as Recognizer, MoCo, ActCLR, Segmentor or '
                          'MultiStream')
    return branches


@dataclass
class _Actionlet:
    """What one stream needs to find actionlets: the head's constants, and the projection (1, D) of its anchor."""

    head: ActionletHead
    z_anchor: Tensor


class ExportedModel(nn.Module):
    """Embedding, class scores and actionlets of a model, traceable: every shape may change but persons and joints.

    The features are those of the model's own ``extract``. What differs is how it gets there: persons are told apart
    with reshapes, absent ones are computed once by gathering rows, streams are taken without writing in place, and the
    gradient of an actionlet is :func:`closed_anchor_gradient` against a constant.

    Args:
        model: Model in eval mode; copied.
        part: ``embedding``; ``recognizer``, which adds class scores; ``actionlet``, which adds actionlets to whatever
            the model has.
        max_persons: Persons M of the input.
        anchor: (M, T, V, C) prepared joints of a static anchor, in place of those that an :class:`ActCLR` keeps.

    Attributes:
        names: Names of the outputs, in order.
        skip_absent: Whether absent persons are left out of the mean over persons.

    Raises:
        ConfigError: If the model has no such part, or is of a kind that cannot be exported.
    """

    def __init__(self, model: nn.Module, part: str, max_persons: int, anchor: Tensor | None = None) -> None:
        super().__init__()
        if part not in PARTS:
            raise ConfigError(f'part is {part!r}, expected one of {", ".join(PARTS)}')
        branches = exportable_branches(model)
        if part == 'recognizer' and not _has_classifier(model):
            raise ConfigError(f"part is 'recognizer', but the {type(model).__name__} has no classifier; export part "
                              "'embedding', or the checkpoint of a linear evaluation or finetuning")
        self.part = part
        # before the copy computes in another way
        self._actionlets = {stream: _actionlet_of(branch, anchor) for stream, branch in branches.items()
                            } if part == 'actionlet' else {}
        self.model: Any = deepcopy(model).eval().requires_grad_(False)
        self.encoders = {stream: _TraceableEncoder(branch, max_persons)
                         for stream, branch in exportable_branches(self.model).items()}
        self.skip_absent = next(iter(branches.values())).skip_absent
        self.names: tuple[str, ...] = ()

    @torch.no_grad()
    def forward(self, keypoint: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Run the model.

        Args:
            keypoint: (N, M, T, V, C) prepared joints; those of absent persons count as zero whatever they are.
            mask: (N, M) bool, who is there.

        Returns:
            Outputs as ``names`` has them.
        """
        keypoint = keypoint * mask[:, :, None, None, None].to(keypoint.dtype)
        features = self.model.extract(keypoint, mask)
        pooled = features['backbone']
        # a segmentor keeps time
        found = {'embedding': pooled if pooled.ndim == 2 else pooled.mean(2)}
        for point in ('projection', *((SCORE, FRAME_SCORE) if self.part != 'embedding' else ())):
            if point in features:
                found[point] = features[point]
        for stream, actionlet in self._actionlets.items():
            name = 'actionlet' if len(self._actionlets) == 1 else f'actionlet_{stream}'
            found[name] = self.encoders[stream].actionlet(actionlet)
        self.names = tuple(found)
        return tuple(found.values())


class _TraceableRows:
    """Stands in for :class:`~mmactclr.models.persons.PersonRows` with N * M rows, whatever N is."""

    def __init__(self, mask: Tensor, kept: Tensor, persons: int) -> None:
        self.present, self._mask, self._kept, self._persons = mask.reshape(-1), mask, kept, persons

    def mean(self, values: Tensor, present_only: bool = False) -> Tensor:
        """Average (N * M, D) rows over the persons that count; returns (N, D)."""
        weight = (self._mask if present_only else self._kept).to(values.dtype)
        total = (values.reshape(-1, self._persons, values.shape[1]) * weight[:, :, None]).sum(1)
        return total / weight.sum(1, keepdim=True).clamp(min=1)


class _TraceableEncoder:
    """Puts itself in place of how a method encodes, and remembers the feature map for the actionlet."""

    def __init__(self, branch: SingleStream, persons: int) -> None:
        self.branch, self.persons = branch, persons
        self.encoded: tuple[Tensor, Tensor, Tensor] | None = None
        replaced: Any = branch
        replaced.features, replaced.encode_distinct = self.features, self.encode_distinct

    def features(self, keypoint: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`SingleStream.features`."""
        x = _to_stream(keypoint, self.branch.stream, self.branch.layout)
        return self.branch.pool(self.branch.backbone, x, mask)

    def encode_distinct(self, backbone: nn.Module, x: Tensor, mask: Tensor) -> tuple[Tensor, Any, Tensor]:
        """As :meth:`BaseAlgorithm.encode_distinct`: who is there, and one of the absent if they count, are encoded."""
        kept, present = self._kept(mask), mask.reshape(-1)
        if self.branch.skip_absent:
            chosen = kept.reshape(-1)
            rows = chosen.nonzero().squeeze(1)
            # rows that are left out get those of others, with no weight
            where = (chosen.long().cumsum(0) - 1).clamp(min=0)
        else:
            rows = torch.cat([present.nonzero().squeeze(1), (~present).nonzero().squeeze(1)[:1]])
            where = torch.where(present, present.long().cumsum(0) - 1, present.long().sum())
        inputs = x.permute(0, 1, 4, 2, 3).flatten(0, 1).index_select(0, rows)
        feature_map = backbone(inputs)
        self.encoded = feature_map, where, mask
        return feature_map, _TraceableRows(mask, kept, self.persons), where

    def actionlet(self, constants: _Actionlet) -> Tensor:
        """Raw actionlet (N, M, T', V), Eq. 4-5, of what was encoded last."""
        if self.encoded is None:
            raise RuntimeError('nothing was encoded yet')
        feature_map, where, mask = self.encoded
        head, kept = constants.head, self._kept(mask)
        pooled = _TraceableRows(mask, kept, self.persons).mean(feature_map.mean((2, 3)).index_select(0, where))
        projector = self.branch.projector or nn.Identity()
        gradient = closed_anchor_gradient(pooled, projector, constants.z_anchor)
        alpha = gradient if head.signed else gradient.relu()
        if head.channels == 'mean':
            alpha = alpha / feature_map.shape[1]
        cells = feature_map.shape[2] * feature_map.shape[3]
        alpha = alpha / (kept.to(alpha.dtype).sum(1, keepdim=True) * cells)
        maps = feature_map.index_select(0, where)
        weighted = maps.flatten(2).reshape(-1, self.persons, maps.shape[1], cells)
        activation = torch.matmul(alpha[:, None, None], weighted).relu()
        activation = activation.reshape(-1, self.persons, maps.shape[2], maps.shape[3])
        return torch.matmul(activation, head.neighbourhood) * mask[:, :, None, None].to(activation.dtype)

    def _kept(self, mask: Tensor) -> Tensor:
        """(N, M) persons that count in the mean over persons."""
        if not self.branch.skip_absent:
            return torch.ones_like(mask)
        # a sequence without anybody keeps its first person
        first = torch.arange(self.persons, device=mask.device) == 0
        return mask | (~mask.any(1, keepdim=True) & first)


def _to_stream(x: Tensor, stream: str, layout: Layout) -> Tensor:
    """As :func:`mmactclr.transforms.to_stream`, which writes in place."""
    if stream == 'motion':
        return torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], 2)
    if stream == 'bone':
        return x - x.index_select(3, torch.tensor(layout.parents, device=x.device))
    return x


def _has_classifier(model: nn.Module) -> bool:
    branches = model.branches().values() if isinstance(model, BaseAlgorithm) else ()
    return any(getattr(branch, 'head', None) is not None for branch in branches)


@torch.no_grad()
def _actionlet_of(branch: SingleStream, anchor: Tensor | None) -> _Actionlet:
    """Constants of a stream's actionlet, as the inferencer finds it: a given anchor goes before one of training.

    Raises:
        ConfigError: If there is no static anchor, or the projector has no closed form.
    """
    projector = branch.projector or nn.Identity()
    projector_layers(projector)
    if anchor is not None:
        with eval_mode(branch):
            x = _to_stream(anchor[None], branch.stream, branch.layout)
            feature_map, rows = branch.encode(branch.backbone, x, persons_there(anchor[None]))
            return _Actionlet(ActionletHead(branch.layout), projector(rows.mean(feature_map.mean((2, 3)))))
    if isinstance(branch, ActCLR) and branch.anchor_source != 'batch' and bool(branch.anchor_ready):
        if branch.num_anchors > 1:
            raise ConfigError(f'the model compares with {branch.num_anchors} anchors, an exported one with one; give '
                              'recordings whose mean motion is taken: anchor=, or --anchor INPUT')
        return _Actionlet(branch.actionlet_head, branch.anchor_projection())
    raise ConfigError(f"part is 'actionlet', but the {type(branch).__name__} of stream {branch.stream!r} has no static "
                      'anchor; give recordings whose mean motion is taken: anchor=, or --anchor INPUT')
