"""Public weights of the ActCLR / AimCLR / CrosSCLR / SkeletonCLR code family, to ours and back.

Their files hold tensors by name: ``encoder_q.*`` (and ``encoder_q_motion.*``, ``encoder_q_bone.*`` where three streams
lie in one file), after a linear evaluation with a classifier ``fc``, after pretraining with a projector ``fc.0``,
``fc.2``, key encoders ``encoder_k*`` and memories ``queue*``. What a file does not say is derived from its shapes;
strides are not in the weights.
"""
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmactclr.datasets.ntu_classes import NTU60_CLASSES, NTU120_CLASSES
from mmactclr.errors import ConfigError, DataError
from mmactclr.models.backbones import build_adjacency
from mmactclr.models.backbones.graph import HOPS, STRATEGIES
from mmactclr.structures import get_layout

from .card import ModelCard
from .fit import BRANCHES
from .official_checks import check_numbers, shape_of
from .official_names import (
    CLASSIFIER,
    PROJECTOR,
    STREAMS,
    UNKNOWN,
    Encoders,
    State,
    own_name,
    public_name,
    sort_names,
    tail_of,
)

_TOLERANCE = 1e-5
# of ours alone: the static anchor, and how many keys of the memory are real
_NOT_PUBLIC = re.compile(r'(stream_branches\.\w+\.)?(anchor|anchor_ready|memory\.filled)')


@dataclass
class Converted:
    """Weights under our names.

    Attributes:
        state: Weights by name.
        card: What is needed to use them.
        notes: What was found, assumed and left out, a line each.
    """

    state: State
    card: ModelCard
    notes: list[str] = field(default_factory=list)


def from_official(state: Mapping[str, Tensor], source: str, layout: str = 'ntu25', stream: str = 'joint',
                  strided_units: Sequence[int] | None = None, classes: Sequence[str] | None = None) -> Converted:
    """Convert public weights.

    Args:
        state: Weights by their public names.
        source: Name of the file, for messages and the card.
        layout: Name of the joint layout that they were trained with.
        stream: Stream of a file that holds one; files with three say it themselves.
        strided_units: Units, counted from one, that halve the frame rate; where channels double if None.
        classes: Names of the classes of a classifier; those of NTU RGB+D where there are 60 or 120, else numbers.

    Raises:
        DataError: If names or shapes are not those of the family.
        ConfigError: If the layout, the number of class names or the units do not fit the weights.
    """
    check_numbers(state, source)
    encoders, queues = sort_names(state, source, stream)
    streams = [name for name in STREAMS if ('q', name) in encoders]
    described = [_describe(encoders['q', name], source, layout, strided_units) for name in streams]
    if any(other != described[0] for other in described):
        raise DataError(f'{source}: the encoders of its streams differ in architecture')
    graph = encoders['q', streams[0]]['A']
    if not all(torch.equal(encoder['A'], graph) for encoder in encoders.values() if 'A' in encoder):
        raise DataError(f'{source}: its encoders are of several graphs (A); take an intact copy of the file')
    tail = _common_tail({name: tail_of(encoders['q', name], source) for name in streams}, source)
    branches = {name: _branch(encoders, queues.get(name, {}), name, tail, source) for name in streams}
    model, names = _model(encoders['q', streams[0]], branches, tail, described[0], classes, source)
    if len(streams) == 1:
        converted = branches[streams[0]]
        model['stream'] = streams[0]
    else:
        model = dict(type='MultiStream', streams=streams, branch=model)
        converted = {f'{BRANCHES}{name}.{key}': value for name in streams for key, value in branches[name].items()}
    card = ModelCard(model=model, layout=get_layout(layout).to_dict(), classes=names, source=source)
    notes = [*_found(model, names, described[0], tail, strided_units is None),
             *_left(len(state) - len(converted), tail, streams, encoders, queues)]
    return Converted(converted, card, notes)


def _found(model: Mapping, classes: Sequence[str], backbone: Mapping, tail: str, assumed: bool) -> list[str]:
    """What was found and assumed, for a person who reads it."""
    branch = model.get('branch', model)
    several = f' of {branch["type"]}' if branch is not model else ''
    ending = {CLASSIFIER: f'classifier of {len(classes)} classes', PROJECTOR: 'projector, key encoder and memory'}
    streams = ', '.join(model.get('streams', [model.get('stream')]))
    return [
        f'model: {model["type"]}{several}, {streams}, encoder and {ending.get(tail, "nothing behind it")}',
        f'encoder: {len(backbone["channels"])} units, channels {backbone["channels"]}, temporal kernel '
        f'{backbone["temporal_kernel"]}, {backbone["in_channels"]} coordinates, layout {backbone["layout"]}',
        'graph: ' + ', '.join(f'{key} {value}' for key, value in backbone['graph'].items()),
        f'stride 2 at units {backbone["strided_units"]}'
        + (', assumed where channels double: strides are not in the weights (--strided-units)' if assumed else '')]


def _left(left_out: int, tail: str, streams: Sequence[str], encoders: Encoders, queues: Mapping[str, State]
          ) -> list[str]:
    """What of the file was left out and what it lacks, for a person who reads it."""
    if tail == PROJECTOR:
        lacking = {'key encoder, which starts as a copy of the online one': [s for s in streams
                                                                            if ('k', s) not in encoders],
                   'memory, which starts empty': [s for s in streams if s not in queues]}
        return [f'not in the file: {", ".join(found)} {what}' for what, found in lacking.items() if found]
    if not left_out:
        return []
    if tail == UNKNOWN:
        return [f'left out: {left_out} weights; the projector is not of the form of this family (a nested one, or one '
                'with batch norm), so projectors, key encoders and memories are not converted']
    return [f'left out: {left_out} weights of key encoders and memories, which only pretraining needs']


def to_official(state: Mapping[str, Tensor], source: str) -> State:
    """Give weights of ours their public names.

    Args:
        state: Weights of a Recognizer, MoCo, ActCLR or several streams of them.
        source: Name of the file, for messages.

    Returns:
        Weights by their public names; what the family has no place for, the static anchor and the number of keys in
        the memory, is left out.

    Raises:
        ConfigError: If the model has no counterpart in the family.
        DataError: If the weights are damaged.
    """
    kept = {key: value for key, value in state.items() if not _NOT_PUBLIC.fullmatch(key)}
    check_numbers(kept, source)
    out: State = {}
    for key, value in kept.items():
        name = public_name(key)
        if name is None or name in out:
            raise ConfigError(f'{source}: {key!r} has no counterpart in the public code; only ST-GCN encoders with a '
                              'classifier, or with a projector and a memory, can be written back')
        if name.startswith('queue_ptr'):
            value = value.reshape(1) if value.dim() == 0 else value
        elif name.startswith('queue'):
            shape_of(state, key, 2, source)
            value = value.t().contiguous()
        elif name.endswith('.fc.weight'):
            shape_of(state, key, 2, source)
            value = value[:, :, None, None]
        out[name] = value
    if not any(re.fullmatch(r'encoder_q(_\w+)?\.A', name) for name in out):
        raise ConfigError(f'{source}: holds no encoder (backbone.*)')
    return out


def assumed_strides(channels: Sequence[int], with_residual: Iterable[int]) -> list[int]:
    """Units, counted from one, that halve the frame rate in the public code.

    Args:
        channels: Output channels of every unit.
        with_residual: Units with a convolution in their residual path, counted from one.

    Returns:
        Units where channels double, and units that keep them and yet have that convolution, which nothing but a
        stride calls for.
    """
    residual = set(with_residual)
    return [unit for unit in range(2, len(channels) + 1)
            if channels[unit - 1] == 2 * channels[unit - 2]
            or channels[unit - 1] == channels[unit - 2] and unit in residual]


def _common_tail(tails: Mapping[str, str], source: str) -> str:
    """What follows the encoders of all streams; where it differs, nothing that all of them have."""
    kinds = set(tails.values())
    if len(kinds) > 1 and CLASSIFIER in kinds:
        raise DataError(f'{source}: a classifier in some streams only ({", ".join(map(" ".join, tails.items()))}); '
                        'take an intact copy of the file')
    return kinds.pop() if len(kinds) == 1 else UNKNOWN


def _describe(encoder: State, source: str, layout: str, strided_units: Sequence[int] | None) -> dict:
    """Config of the STGCN that these weights are of.

    Raises:
        DataError: If they are no ST-GCN.
        ConfigError: If the layout or the units do not fit.
    """
    joints = get_layout(layout).num_joints
    units = sorted({int(found.group(1)) for name in encoder
                    if (found := re.match(r'st_gcn_networks\.(\d{1,3})\.', name))})
    sized = ('A', 'data_bn.weight', *(f'st_gcn_networks.{unit}.{name}' for unit in units for name in (
        'gcn.conv.weight', 'tcn.0.weight', 'tcn.2.weight')))
    missing = [name for name in sized if name not in encoder]
    if missing or not units or units != list(range(len(units))):
        wrong = f'{", ".join(missing[:3])} missing' if missing else f'st_gcn_networks are {units}'
        raise DataError(f'{source}: no whole ST-GCN encoder ({wrong}); the file was cut or is of another architecture')
    if shape_of(encoder, 'A', 3, source)[1:] != (joints, joints):
        raise ConfigError(f'{source}: its graph has the shape {tuple(encoder["A"].shape)}, layout {layout!r} has '
                          f'{joints} joints; name the layout it was trained with: --layout')
    in_channels = shape_of(encoder, 'st_gcn_networks.0.gcn.conv.weight', 4, source)[1]
    if encoder['data_bn.weight'].shape != (in_channels * joints,):
        raise DataError(f'{source}: data_bn.weight has the shape {tuple(encoder["data_bn.weight"].shape)}, expected '
                        f'{in_channels} coordinates of {joints} joints')
    channels = [shape_of(encoder, f'st_gcn_networks.{unit}.tcn.0.weight', 1, source)[0] for unit in units]
    kernel = shape_of(encoder, 'st_gcn_networks.0.tcn.2.weight', 4, source)[2]
    if kernel % 2 == 0:
        raise DataError(f'{source}: its convolutions over time are {kernel} frames long, expected an odd number: with '
                        'an even one a unit would not keep its frames')
    if strided_units is None:
        strided_units = assumed_strides(channels, (
            unit + 1 for unit in units if f'st_gcn_networks.{unit}.residual.0.weight' in encoder))
    elif any(not 1 <= unit <= len(units) for unit in strided_units):
        raise ConfigError(f'--strided-units are {list(strided_units)}, {source} has units 1 to {len(units)}')
    return dict(type='STGCN', layout=layout, in_channels=in_channels, channels=channels,
                strided_units=list(strided_units), temporal_kernel=kernel,
                graph=_find_graph(encoder['A'], layout, source))


def _find_graph(adjacency: Tensor, layout: str, source: str) -> dict[str, str]:
    """Which convention a graph follows.

    Raises:
        DataError: If none; the weights would not mean the same with another.
    """
    # a file of half precision has rounded its graph as well
    rounding = torch.finfo(adjacency.dtype).eps if adjacency.is_floating_point() else 0
    for strategy in STRATEGIES:
        for hops in HOPS if strategy == 'spatial' else HOPS[:1]:
            built = build_adjacency(layout, strategy, hops)
            if built.shape == adjacency.shape and torch.allclose(built, adjacency.float(),
                                                                 atol=max(_TOLERANCE, rounding)):
                return dict(strategy=strategy, hops=hops) if strategy == 'spatial' else dict(strategy=strategy)
    raise DataError(f'{source}: its graph A is none of {", ".join(STRATEGIES)} on layout {layout!r}; name another '
                    'layout with --layout, with a graph that is not its own an encoder would give other features')


def _model(encoder: State, branches: Mapping[str, State], tail: str, backbone: dict, classes: Sequence[str] | None,
           source: str) -> tuple[dict, list[str]]:
    """Config of the single-stream model, its stream left open, and the names of its classes."""
    width = backbone['channels'][-1]
    common = dict(layout=backbone['layout'], backbone=backbone)
    if tail == PROJECTOR:
        hidden, out = (shape_of(encoder, f'fc.{layer}.bias', 1, source)[0] for layer in (0, 2))
        sizes = [len(branch['memory.keys']) for branch in branches.values() if 'memory.keys' in branch]
        return dict(type='MoCo', **common, loss=dict(type='InfoNCELoss'),
                    memory=dict(dim=out, **({'size': sizes[0]} if sizes else {})),
                    projector=dict(type='ProjectionMLP', in_channels=width, hidden_channels=hidden,
                                   out_channels=out)), []
    if tail != CLASSIFIER:
        return dict(type='Recognizer', **common, head=None), []
    count = shape_of(encoder, 'fc.bias', 1, source)[0]
    known = {len(NTU60_CLASSES): NTU60_CLASSES, len(NTU120_CLASSES): NTU120_CLASSES}
    names = list(classes or known.get(count) or map(str, range(count)))
    if len(names) != count:
        raise ConfigError(f'--classes gives {len(names)} names, the classifier of {source} tells {count} classes apart')
    return dict(type='Recognizer', **common,
                head=dict(type='ClassificationHead', in_channels=width, num_classes=count)), names


def _branch(encoders: Encoders, queue: State, stream: str, tail: str, source: str) -> State:
    """Weights of one stream by our names."""
    online = encoders['q', stream]
    if tail != PROJECTOR:
        return {f'backbone.{own_name(name)}' if not name.startswith('fc.') else f'head.{name}': _flat(name, value)
                for name, value in online.items() if tail == CLASSIFIER or not name.startswith('fc.')}
    converted: State = {}
    # a momentum encoder that is not there starts as a copy, as in every training
    for suffix, encoder in (('', online), ('_k', encoders.get(('k', stream), online))):
        for name, value in encoder.items():
            ours = f'projector{suffix}.layers.{name.removeprefix("fc.")}' if name.startswith('fc.') else \
                f'backbone{suffix}.{own_name(name)}'
            converted[ours] = _flat(name, value)
    return {**converted, **(_memory(queue, source) if queue else {})}


def _flat(name: str, value: Tensor) -> Tensor:
    """A weight as it is, but for those behind the encoder: a 1x1 convolution on one cell is a linear layer."""
    return value.flatten(1) if name.startswith('fc.') and value.dim() > 1 else value


def _memory(queue: State, source: str) -> State:
    keys, pointer = queue.get('queue'), queue.get('queue_ptr')
    if keys is None or pointer is None or keys.dim() != 2 or pointer.numel() != 1 or pointer.is_floating_point() \
            or not 0 <= int(pointer) < keys.shape[1]:
        raise DataError(f'{source}: its memory is damaged; expected queue (D, K) and queue_ptr, one position in it')
    # the public code starts from random keys and counts none: by the end of a training all are real. A column of
    # zeros is no key: ours writes them back where its own memory was not full
    written = keys.any(0).nonzero()
    return {'memory.keys': keys.t().contiguous(), 'memory.pointer': pointer.reshape(()),
            'memory.filled': torch.tensor(int(written.max()) + 1 if len(written) else 0)}
