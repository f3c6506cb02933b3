"""Refusing weights that do not fit the model, before any of them is copied into it."""
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError, DataError
from mmactclr.models import ClassificationHead, MultiStream
from mmactclr.models.algorithms.base import BaseAlgorithm
from mmactclr.models.memory_bank import MemoryBank
from mmactclr.structures import Layout

from .card import ModelCard

STREAMS_TOOL = 'tools/model_converters/streams.py'
# what names of a model of several streams begin with, as MultiStream calls its branches
BRANCHES = 'stream_branches.'
# parts of a model that decide what its features are: more of them in a file means another architecture
_ENCODER = {'backbone', 'projector'}
_KEY = {'backbone_k', 'projector_k'}
# between adjacency matrices that are the same but for rounding
_SAME_GRAPH = 1e-5


def check_fit(model: nn.Module, state: Mapping[str, Any], source: str, trained_only: bool = False,
              card: ModelCard | None = None) -> None:
    """Refuse weights that are damaged, belong to another model, or would leave a part of this one as it was.

    Buffers of the method (memory, anchor) may be missing: they fill themselves.

    Args:
        model: Model that the weights are meant for.
        state: Weights by name.
        source: Name of the file, for the message.
        trained_only: Look at the parameters that are trained and leave out the key encoders, as evaluation
            does not need them.
        card: What the file says of itself: layout and stream, which weights alone do not tell.

    Raises:
        DataError: If a value is no tensor of the right kind of numbers, or not finite.
        ConfigError: If layout, streams, graph, classes or shapes are others, a parameter is missing, or the
            file's encoder has more parts.
    """
    own = model.state_dict()
    _check_values(own, state, source)
    _check_memory(model, state, source)
    # the first that differs explains those after it
    other = _other_layout(model, card) or _other_streams(model, own, state, card) or _other_graph(model, state) \
        or _other_classes(model, state) or _other_parts(model, own, state, trained_only) or _other_sizes(model, state)
    if other:
        raise ConfigError(f'checkpoint {source!r} does not fit the model of the config: {other}')


def streams_of(state: Iterable[str]) -> list[str]:
    """Streams of the branches that weights belong to, in their order; empty for a model of one stream."""
    return list(dict.fromkeys(name.split('.')[1] for name in state if name.startswith(BRANCHES)))


def card_streams(card: ModelCard) -> list[str]:
    """Streams that the model of a card takes."""
    if 'branch' in card.model:
        return list(card.model.get('streams', ('joint', 'motion', 'bone')))
    return [card.model.get('stream', 'joint')]


def _check_values(own: Mapping[str, Tensor], state: Mapping[str, Any], source: str) -> None:
    """Refuse what cannot be weights; what has no place in the model is left to the comparison of parts."""
    for name, value in state.items():
        if not torch.is_tensor(value) or value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise DataError(f'checkpoint {source!r}: {name} is no dense tensor (found '
                            f'{type(value).__name__}); take an intact copy of the file')
        if name not in own or value.shape != own[name].shape:
            continue
        if _kind(value) != _kind(own[name]):
            raise DataError(f'checkpoint {source!r}: {name} holds numbers of type {value.dtype}, expected '
                            f'{own[name].dtype}; take the weights as they were trained')
        # a number that is finite in double precision may not be in the model's
        if not torch.isfinite(value).all() or not torch.isfinite(value.to(own[name].dtype)).all():
            raise DataError(f'checkpoint {source!r}: {name} holds numbers that are not finite (NaN or infinite); take '
                            'a checkpoint from before training diverged')


def _check_memory(model: nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Refuse a memory that counts keys which it has no place for: empty slots would pass for negatives."""
    for prefix, module in model.named_modules():
        found = state.get(f'{prefix}.filled')
        if isinstance(module, MemoryBank) and found is not None and found.numel() == 1 \
                and not 0 <= int(found) <= module.size:
            raise DataError(f'checkpoint {source!r}: {prefix}.filled is {int(found)}, expected 0 to {module.size}, the '
                            'keys that the memory has; take an intact copy of the file')


def _kind(value: Tensor) -> str:
    if value.dtype == torch.bool:
        return 'bool'
    return 'complex' if value.is_complex() else 'real' if value.is_floating_point() else 'integer'


def _branches(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.branches()) if isinstance(model, BaseAlgorithm) else {}


def _other_layout(model: nn.Module, card: ModelCard | None) -> str | None:
    if card is None:
        return None
    found = card.joint_layout()
    for branch in _branches(model).values():
        own = getattr(branch, 'layout', None)
        if isinstance(own, Layout) and (own.joints, own.bones, own.centre) != (found.joints, found.bones, found.centre):
            return f'it is for layout {found.name!r} ({found.num_joints} joints), the model for {own.name!r} ' \
                   f'({own.num_joints} joints); use a config of its layout'
    return None


def _other_streams(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Any],
                   card: ModelCard | None) -> str | None:
    wanted, found = list(_branches(model)), streams_of(state)
    several = isinstance(model, MultiStream)
    if found and not several and wanted:
        return f'it holds the streams {", ".join(found)}, the model is of one, {wanted[0]}: take it out with python ' \
               f'{STREAMS_TOOL} take CKPT {wanted[0]} FILE'
    if several and not found:
        inner = {name.split('.', 2)[2] for name in own if name.startswith(BRANCHES)}
        if inner & set(state):
            one = f' ({card_streams(card)[0]})' if card else ''
            return f'it holds one stream{one}, the model has {", ".join(wanted)}: join the checkpoints of all of ' \
                   f'them with python {STREAMS_TOOL} join'
    if several and found and set(found) != set(wanted):
        return f'it holds the streams {", ".join(found)}, the model has {", ".join(wanted)}; use ' \
               'a config of its streams'
    if card and not several and wanted and card_streams(card) != wanted:
        return f'it was trained on the {card_streams(card)[0]} stream, the model takes {wanted[0]}; use a config of ' \
               'its stream'
    return None


def _other_graph(model: nn.Module, state: Mapping[str, Any]) -> str | None:
    """Weights of a graph convolution mean nothing on another graph, whatever their shapes."""
    for name, own in model.named_buffers():
        if name.split('.')[-1] != 'adjacency' or name not in state:
            continue
        found = state[name]
        if found.shape == own.shape:
            apart = (found.to(own.device).double() - own.double()).abs().max().item()
            # a file of half precision has rounded its graph as well
            if apart <= max(_SAME_GRAPH, torch.finfo(found.dtype).eps if found.is_floating_point() else 0):
                continue
            how = f'values differ by up to {apart:.2g}'
        else:
            how = f'shape {tuple(found.shape)} instead of {tuple(own.shape)}'
        return f'its graph is another one ({name}: {how}), so layout or backbone.graph differs; use the config it ' \
               'was trained with'
    return None


def _other_classes(model: nn.Module, state: Mapping[str, Any]) -> str | None:
    for prefix, module in model.named_modules():
        weight = state.get(f'{prefix}.fc.weight')
        if isinstance(module, ClassificationHead) and weight is not None and weight.ndim == 2 \
                and len(weight) != module.num_classes:
            return f'it tells {len(weight)} classes apart, the model {module.num_classes}; set {prefix}.num_classes ' \
                   'to the classes it was trained on'
    return None


def _other_parts(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Any],
                 trained_only: bool) -> str | None:
    needed = [name for name, parameter in model.named_parameters() if parameter.requires_grad or not trained_only]
    # without them an encoder gives other features and no error
    needed += [name for name, _ in model.named_buffers() if name.endswith(('.running_mean', '.running_var'))
               and not (trained_only and _KEY & set(name.split('.')))]
    missing = [name for name in needed if name not in state]
    shapes = [f'{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}' for name in needed
              if name in state and state[name].shape != own[name].shape]
    surplus = [name for name in state if name not in own and _ENCODER & set(name.split('.'))]
    found = [f'{len(names)} {what} (first: {names[0]})' for names, what in (
        (missing, 'weights of the model are missing'), (shapes, 'have another shape'),
        (surplus, 'have no place in the model')) if names]
    if not found:
        return None
    return '; '.join(found) + '. Use the config it was trained with: algorithm, layout and backbone must be the same'


def _other_sizes(model: nn.Module, state: Mapping[str, Any]) -> str | None:
    for name, own in model.named_buffers():
        if name in state and state[name].shape != own.shape:
            return f'{name} is {tuple(state[name].shape)} instead of {tuple(own.shape)}; set num_frames, max_persons ' \
                   'and memory.size to those of its training'
    return None
