"""Public weights of the ActCLR / AimCLR / CrosSCLR / SkeletonCLR code family, to ours and back.

Their files hold tensors by name: ``encoder_q.*`` (and ``encoder_q_motion.*``, ``encoder_q_bone.*`` where three streams
lie in one file), after a linear evaluation with a classifier ``fc``, after pretraining with a projector ``fc.0``,
``fc.2``, key encoders ``encoder_k*`` and memories ``queue*``. What a file does not say is derived from its shapes;
strides are not in the weights.
"""
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmactclr.datasets.ntu_classes import NTU60_CLASSES, NTU120_CLASSES
from mmactclr.errors import ConfigError, DataError
from mmactclr.models.backbones import build_adjacency
from mmactclr.models.backbones.graph import HOPS, STRATEGIES
from mmactclr.structures import get_layout

from .card import ModelCard

STREAMS = ('joint', 'motion', 'bone')
_KNOWN = re.compile(r'(encoder_[qk])(?:_(motion|bone))?\.(.+)|(queue|queue_ptr)(?:_(motion|bone))?')
_CLASSIFIER = {'fc.weight', 'fc.bias'}
_PROJECTOR = {f'fc.{layer}.{name}' for layer in (0, 2) for name in ('weight', 'bias')}
_TOLERANCE = 1e-5
BRANCHES = 'stream_branches.'
CLASSIFIER, PROJECTOR, NONE, UNKNOWN = 'classifier', 'projector', 'none', 'unknown'

State = dict[str, Tensor]


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
    encoders, queues = _sort(state, source, stream)
    streams = [name for name in STREAMS if ('q', name) in encoders]
    described = [_describe(encoders['q', name], source, layout, strided_units) for name in streams]
    tails = {_tail(encoders['q', name]) for name in streams}
    if any(other != described[0] for other in described):
        raise DataError(f'{source}: the encoders of its streams differ in architecture')
    tail, first = tails.pop() if len(tails) == 1 else UNKNOWN, streams[0]
    branches = {name: _branch(encoders, queues.get(name, {}), name, tail, source) for name in streams}
    model, names = _model(encoders['q', first], branches[first], tail, layout, first, described[0], classes)
    if len(streams) == 1:
        converted = branches[first]
    else:
        # a branch is told its own stream
        branch = {key: value for key, value in model.items() if key != 'stream'}
        model = dict(type='MultiStream', streams=streams, branch=branch)
        converted = {f'{BRANCHES}{name}.{key}': value for name in streams for key, value in branches[name].items()}
    card = ModelCard(model=model, layout=get_layout(layout).to_dict(), classes=names, source=source)
    # the number of stored keys is ours alone
    left_out = len(state) - sum(not name.endswith('memory.filled') for name in converted)
    return Converted(converted, card, _notes(model, names, described[0], tail, strided_units is None, left_out))


def _notes(model: dict, classes: list[str], backbone: dict, tail: str, assumed: bool, left_out: int) -> list[str]:
    """What was found, assumed and left out, for a person who reads it."""
    single = model.get('branch', model)
    several = f' of {single["type"]}' if single is not model else ''
    ending = {CLASSIFIER: f'classifier of {len(classes)} classes', PROJECTOR: 'projector, key encoder and memory'}
    streams = ', '.join(model.get('streams', [single.get('stream')]))
    notes = [
        f'model: {model["type"]}{several}, {streams}, encoder and {ending.get(tail, "nothing behind it")}',
        f'encoder: {len(backbone["channels"])} units, channels {backbone["channels"]}, temporal kernel '
        f'{backbone["temporal_kernel"]}, {backbone["in_channels"]} coordinates, layout {backbone["layout"]}',
        'graph: ' + ', '.join(f'{key} {value}' for key, value in backbone['graph'].items()),
        f'stride 2 at units {backbone["strided_units"]}'
        + (', assumed where channels double: strides are not in the weights (--strided-units)' if assumed else '')]
    if tail == UNKNOWN:
        notes.append(f'left out: {left_out} weights; the projector is not of the form of this family (a nested one, or '
                     'one with batch norm), so projectors, key encoders and memories are not converted')
    elif left_out:
        notes.append(f'left out: {left_out} weights of key encoders and memories, which a classifier does not need')
    return notes


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
    """
    out: State = {}
    for key, value in state.items():
        found = re.fullmatch(r'(?:stream_branches\.(\w+)\.)?(.+)', key)
        stream, name = found.group(1) or 'joint', found.group(2)
        suffix = '' if stream == 'joint' else f'_{stream}'
        if name in ('anchor', 'anchor_ready', 'memory.filled'):
            continue
        public = _public_name(name)
        if public is None or stream not in STREAMS:
            raise ConfigError(f'{source}: {key!r} has no counterpart in the public code; only ST-GCN encoders with a '
                              'classifier, or with a projector and a memory, can be written back')
        part, _, rest = public.partition('.')
        if part == 'queue':
            value = value.t().contiguous()
        elif part == 'queue_ptr':
            value = value.reshape(1)
        elif rest == 'fc.weight':
            value = value[:, :, None, None]
        out[f'{part}{suffix}' + (f'.{rest}' if rest else '')] = value
    if not any(re.fullmatch(r'encoder_q(_\w+)?\.A', name) for name in out):
        raise ConfigError(f'{source}: holds no encoder (backbone.*)')
    return out


def _sort(state: Mapping[str, Tensor], source: str, stream: str
          ) -> tuple[dict[tuple[str, str], State], dict[str, State]]:
    """Encoders by (``q`` or ``k``, stream) and memories by stream."""
    if stream not in STREAMS:
        raise ConfigError(f'--stream is {stream!r}, expected one of {", ".join(STREAMS)}')
    several = any(re.match(r'encoder_q_(motion|bone)\.', name) for name in state)
    encoders: dict[tuple[str, str], State] = {}
    queues: dict[str, State] = {}
    strange = []
    for key, value in state.items():
        found = _KNOWN.fullmatch(key)
        if not found:
            strange.append(key)
            continue
        encoder, of_encoder, name, queue, of_queue = found.groups()
        owner = of_encoder or of_queue or ('joint' if several else stream)
        if encoder:
            encoders.setdefault((encoder[-1], owner), {})[name] = value
        else:
            queues.setdefault(owner, {})[queue] = value
    if strange or not any(role == 'q' for role, _ in encoders):
        found = f'{len(strange)} unknown names, the first {strange[:3]}' if strange else 'no encoder_q.*'
        raise DataError(f'{source}: {found}; expected weights of the ActCLR / AimCLR / CrosSCLR code family: '
                        'encoder_q.*, encoder_k.*, queue, queue_ptr')
    return encoders, queues


def _tail(encoder: State) -> str:
    """What follows the encoder."""
    names = frozenset(name for name in encoder if name.startswith('fc.'))
    return {frozenset(): NONE, frozenset(_CLASSIFIER): CLASSIFIER, frozenset(_PROJECTOR): PROJECTOR}.get(names, UNKNOWN)


def _describe(encoder: State, source: str, layout: str, strided_units: Sequence[int] | None) -> dict:
    """Config of the STGCN that these weights are of.

    Raises:
        DataError: If they are no ST-GCN.
        ConfigError: If the layout or the units do not fit.
    """
    joints = get_layout(layout).num_joints
    units = sorted({int(found.group(1)) for name in encoder if (found := re.match(r'st_gcn_networks\.(\d+)\.', name))})
    needed = ['A', 'data_bn.weight', 'data_bn.bias']
    for unit in units:
        needed += [f'st_gcn_networks.{unit}.{name}' for name in (
            'gcn.conv.weight', 'gcn.conv.bias', 'tcn.0.weight', 'tcn.2.weight', 'tcn.3.weight')]
        needed.append(f'edge_importance.{unit}')
    missing = [name for name in needed if name not in encoder]
    if missing or units != list(range(len(units))) or not units:
        raise DataError(f'{source}: no whole ST-GCN encoder, {len(missing)} weights are missing, the first '
                        f'{missing[:3]}; the file was cut or is of another architecture')
    if encoder['A'].dim() != 3 or encoder['A'].shape[1:] != (joints, joints):
        raise ConfigError(f'{source}: its graph has the shape {tuple(encoder["A"].shape)}, layout {layout!r} has '
                          f'{joints} joints; name the layout it was trained with: --layout')
    shape = encoder['st_gcn_networks.0.gcn.conv.weight'].shape
    in_channels = shape[1] if len(shape) == 4 else 0
    if encoder['data_bn.weight'].shape != (in_channels * joints,):
        raise DataError(f'{source}: data_bn.weight has the shape {tuple(encoder["data_bn.weight"].shape)}, expected '
                        f'{in_channels} coordinates of {joints} joints')
    channels = [len(encoder[f'st_gcn_networks.{unit}.tcn.0.weight']) for unit in units]
    kernel = encoder['st_gcn_networks.0.tcn.2.weight'].shape[2]
    if strided_units is None:
        strided_units = [unit + 1 for unit in units[1:] if channels[unit] == 2 * channels[unit - 1] or (
            channels[unit] == channels[unit - 1] and f'st_gcn_networks.{unit}.residual.0.weight' in encoder)]
    elif any(not 1 <= unit <= len(units) for unit in strided_units):
        raise ConfigError(f'--strided-units are {list(strided_units)}, {source} has units 1 to {len(units)}')
    config = dict(type='STGCN', layout=layout, in_channels=in_channels, channels=channels,
                  strided_units=list(strided_units), temporal_kernel=kernel,
                  graph=_find_graph(encoder['A'], layout, source))
    return config


def _find_graph(adjacency: Tensor, layout: str, source: str) -> dict[str, str]:
    """Which convention a graph follows.

    Raises:
        DataError: If none; the weights would not mean the same with another.
    """
    for strategy in STRATEGIES:
        for hops in HOPS if strategy == 'spatial' else HOPS[:1]:
            built = build_adjacency(layout, strategy, hops)
            if built.shape == adjacency.shape and torch.allclose(built, adjacency.float(), atol=_TOLERANCE):
                return dict(strategy=strategy, hops=hops) if strategy == 'spatial' else dict(strategy=strategy)
    raise DataError(f'{source}: its graph A is none of {", ".join(STRATEGIES)} on layout {layout!r}; name another '
                    'layout with --layout, with a graph that is not its own an encoder would give other features')


def _model(encoder: State, converted: State, tail: str, layout: str, stream: str, backbone: dict,
           classes: Sequence[str] | None) -> tuple[dict, list[str]]:
    """Config of the single-stream model and the names of its classes."""
    width = backbone['channels'][-1]
    common = dict(layout=layout, stream=stream, backbone=backbone)
    if tail == PROJECTOR:
        hidden, out = (len(encoder[f'fc.{layer}.bias']) for layer in (0, 2))
        size = len(converted.get('memory.keys', [None]))
        return dict(type='MoCo', **common, loss=dict(type='InfoNCELoss'), memory=dict(size=size, dim=out),
                    projector=dict(type='ProjectionMLP', in_channels=width, hidden_channels=hidden,
                                   out_channels=out)), []
    if tail != CLASSIFIER:
        return dict(type='Recognizer', **common, head=None), []
    count = len(encoder['fc.bias'])
    known = {len(NTU60_CLASSES): NTU60_CLASSES, len(NTU120_CLASSES): NTU120_CLASSES}
    names = list(classes or known.get(count) or map(str, range(count)))
    if len(names) != count:
        raise ConfigError(f'--classes gives {len(names)} names, the classifier of {stream} tells {count} classes apart')
    return dict(type='Recognizer', **common,
                head=dict(type='ClassificationHead', in_channels=width, num_classes=count)), names


def _branch(encoders: Mapping[tuple[str, str], State], queue: State, stream: str, tail: str, source: str) -> State:
    """Weights of one stream by our names."""
    converted: State = {}
    for role, suffix in (('q', ''), ('k', '_k')) if tail == PROJECTOR else (('q', ''),):
        for name, value in encoders.get((role, stream), {}).items():
            if not name.startswith('fc.'):
                converted[f'backbone{suffix}.{_our_name(name)}'] = value
            elif tail == PROJECTOR:
                # a 1x1 convolution on one cell is a linear layer
                converted[f'projector{suffix}.layers.{name.removeprefix("fc.")}'] = _flat(value)
            elif tail == CLASSIFIER:
                converted[f'head.{name}'] = _flat(value)
    if tail == PROJECTOR and queue:
        converted.update(_memory(queue, source))
    return converted


def _flat(value: Tensor) -> Tensor:
    return value.flatten(1) if value.dim() > 1 else value


def _memory(queue: State, source: str) -> State:
    keys, pointer = queue.get('queue'), queue.get('queue_ptr')
    if keys is None or pointer is None or keys.dim() != 2 or pointer.numel() != 1 \
            or not 0 <= int(pointer) < keys.shape[1]:
        raise DataError(f'{source}: its memory is damaged; expected queue (D, K) and queue_ptr, one position in it')
    size = keys.shape[1]
    return {'memory.keys': keys.t().contiguous(), 'memory.pointer': pointer.reshape(()).long(),
            # the public code starts from random keys and counts none: by the end of a training all are real
            'memory.filled': torch.tensor(size)}


def _our_name(name: str) -> str:
    """Name of an encoder's weight in :class:`STGCN`."""
    name = re.sub(r'^A$', 'adjacency', name)
    return re.sub(r'^st_gcn_networks\.', 'units.', name).replace('.gcn.conv.', '.gcn.')


def _public_name(name: str) -> str | None:
    """Public name of a weight of ours, None where there is none."""
    part, _, rest = name.partition('.')
    encoder = 'encoder_k' if part.endswith('_k') else 'encoder_q'
    part = part.removesuffix('_k')
    if part == 'backbone':
        if not re.match(r'adjacency$|data_bn\.|edge_importance\.|units\.\d+\.(gcn|tcn|residual)\.', rest):
            return None
        rest = re.sub(r'^adjacency$', 'A', rest)
        rest = re.sub(r'^(units\.\d+\.gcn)\.', r'\1.conv.', rest)
        return f'{encoder}.' + re.sub(r'^units\.', 'st_gcn_networks.', rest)
    if part == 'projector' and (found := re.fullmatch(r'layers\.([02]\.(weight|bias))', rest)):
        return f'{encoder}.fc.{found.group(1)}'
    if name in ('head.fc.weight', 'head.fc.bias'):
        return f'{encoder}.{rest}'
    return {'memory.keys': 'queue', 'memory.pointer': 'queue_ptr'}.get(name)
