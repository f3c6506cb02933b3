"""Names of the public ActCLR / AimCLR / CrosSCLR / SkeletonCLR code family, and ours for the same weights."""
import re
from collections.abc import Mapping

from torch import Tensor

from mmactclr.errors import ConfigError, DataError

STREAMS = ('joint', 'motion', 'bone')
CLASSIFIER, PROJECTOR, NONE, UNKNOWN = 'classifier', 'projector', 'none', 'unknown'

_KNOWN = re.compile(r'(encoder_[qk])(?:_(motion|bone))?\.(.+)|(queue|queue_ptr)(?:_(motion|bone))?')
_CLASSIFIER = frozenset({'fc.weight', 'fc.bias'})
_PROJECTOR = frozenset(f'fc.{layer}.{name}' for layer in (0, 2) for name in ('weight', 'bias'))
# linear layers and batch norm, nested or not
_OTHER_PROJECTOR = re.compile(r'fc(\.\d+)+\.(weight|bias|running_mean|running_var|num_batches_tracked)')
_OWN_ENCODER = re.compile(r'adjacency$|data_bn\.|edge_importance\.|units\.\d+\.(gcn|tcn|residual)\.')

State = dict[str, Tensor]
Encoders = dict[tuple[str, str], State]


def sort_names(state: Mapping[str, Tensor], source: str, stream: str) -> tuple[Encoders, dict[str, State]]:
    """Split public weights by the part they belong to.

    Args:
        state: Weights by public name.
        source: Name of the file, for messages.
        stream: Stream of a file that holds one.

    Returns:
        Encoders by (``q`` or ``k``, stream) and memories by stream, each by the rest of the name.

    Raises:
        DataError: If a name is not of the family, or there is no online encoder.
        ConfigError: If the stream is unknown.
    """
    if stream not in STREAMS:
        raise ConfigError(f'--stream is {stream!r}, expected one of {", ".join(STREAMS)}')
    several = any(re.match(r'encoder_q_(motion|bone)\.', name) for name in state)
    encoders: Encoders = {}
    queues: dict[str, State] = {}
    owners, strange = {}, []
    for key, value in state.items():
        found = _KNOWN.fullmatch(key)
        if not found:
            strange.append(key)
            continue
        role, of_encoder, name, queue, of_queue = found.groups()
        owner = of_encoder or of_queue or ('joint' if several else stream)
        owners[key] = owner, name if role == 'encoder_k' else None
        if role:
            encoders.setdefault((role[-1], owner), {})[name] = value
        else:
            queues.setdefault(owner, {})[queue] = value
    # key encoders and memories belong to an online encoder and have nothing that it lacks but for projectors
    for key, (owner, name) in owners.items():
        encoder = encoders.get(('q', owner))
        if encoder is None or name and name not in encoder and not name.startswith('fc.'):
            strange.append(key)
    online = any(role == 'q' for role, _ in encoders)
    if strange or not online:
        wrong = f'{len(strange)} unknown names, the first {strange[:3]}' if online or not encoders else 'no encoder_q.*'
        raise DataError(f'{source}: {wrong}; expected weights of the ActCLR / AimCLR / CrosSCLR code family: '
                        'encoder_q.*, encoder_k.*, queue, queue_ptr'
                        + ('; a checkpoint of mmactclr goes the other way with --reverse' if any(
                            'backbone.' in name for name in strange) else ''))
    return encoders, queues


def tail_of(encoder: Mapping[str, Tensor], source: str) -> str:
    """What follows an encoder: ``classifier``, ``projector``, ``none``, or ``unknown`` for projectors of other forms.

    Raises:
        DataError: If a part of it is missing, or it is none of these.
    """
    names = frozenset(name for name in encoder if name.startswith('fc.'))
    for form, kind in ((_CLASSIFIER, CLASSIFIER), (_PROJECTOR, PROJECTOR)):
        if names == form:
            return kind
        if names and names < form:
            raise DataError(f'{source}: a {kind} without {", ".join(sorted(form - names))}; take an intact copy of '
                            'the file')
    strange = sorted(name for name in names if not _OTHER_PROJECTOR.fullmatch(name))
    if strange:
        raise DataError(f'{source}: {len(strange)} unknown names behind the encoder, the first {strange[:3]}; '
                        'expected a classifier (fc.weight, fc.bias) or a projector (fc.0.*, fc.2.*)')
    return UNKNOWN if names else NONE


def own_name(name: str) -> str:
    """Name of a public encoder's weight in :class:`STGCN`."""
    name = re.sub(r'^A$', 'adjacency', name)
    return re.sub(r'^st_gcn_networks\.', 'units.', name).replace('.gcn.conv.', '.gcn.')


def public_name(key: str) -> str | None:
    """Public name of a weight of a Recognizer, MoCo, ActCLR or MultiStream; None where there is none."""
    found = re.fullmatch(r'(?:stream_branches\.(\w+)\.)?(.+)', key)
    stream, inner = found.groups() if found else (None, key)
    stream = stream or 'joint'
    name = _public_part(inner)
    if name is None or stream not in STREAMS:
        return None
    part, dot, rest = name.partition('.')
    return part + ('' if stream == 'joint' else f'_{stream}') + dot + rest


def _public_part(name: str) -> str | None:
    part, _, rest = name.partition('.')
    encoder = 'encoder_k' if part.endswith('_k') else 'encoder_q'
    part = part.removesuffix('_k')
    if part == 'backbone':
        if not _OWN_ENCODER.match(rest):
            return None
        rest = re.sub(r'^adjacency$', 'A', rest)
        rest = re.sub(r'^(units\.\d+\.gcn)\.', r'\1.conv.', rest)
        return f'{encoder}.' + re.sub(r'^units\.', 'st_gcn_networks.', rest)
    if part == 'projector' and (found := re.fullmatch(r'layers\.([02]\.(weight|bias))', rest)):
        return f'{encoder}.fc.{found.group(1)}'
    if name in ('head.fc.weight', 'head.fc.bias'):
        return f'{encoder}.{rest}'
    return {'memory.keys': 'queue', 'memory.pointer': 'queue_ptr'}.get(name)
