"""Seeded mutations of checkpoints: of their bytes, of what they hold, and files that want to execute something."""
import io
import os
import pickle
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

Write = Callable[[Path, Path, random.Random], None]
Change = Callable[[dict, random.Random], Any]

# bytes


def truncated(source: Path, target: Path, rng: random.Random) -> None:
    content = source.read_bytes()
    target.write_bytes(content[:rng.randrange(1, len(content))])


def end_missing(source: Path, target: Path, rng: random.Random) -> None:
    """The last bytes alone: the table of contents of the archive."""
    content = source.read_bytes()
    target.write_bytes(content[:-rng.randrange(1, 200)])


def flipped(source: Path, target: Path, rng: random.Random) -> None:
    content = bytearray(source.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    target.write_bytes(content)


def flipped_weight(source: Path, target: Path, rng: random.Random) -> None:
    """One bit of one number of one tensor."""
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        part = rng.choice([part for part in archive.infolist() if '/data/' in part.filename and part.file_size])
        start = content.find(archive.read(part), part.header_offset)
    content[start + rng.randrange(part.file_size)] ^= 1 << rng.randrange(8)
    target.write_bytes(content)


def block_zeroed(source: Path, target: Path, rng: random.Random) -> None:
    """A block of a disk that was never written."""
    content = bytearray(source.read_bytes())
    start = rng.randrange(max(len(content) - 4096, 1)) // 512 * 512
    content[start:start + 4096] = bytes(len(content[start:start + 4096]))
    target.write_bytes(content)


def repacked(compression: int, change: Callable[[list, random.Random], list]) -> Write:
    """The parts of the archive written anew, with right checksums."""
    def write(source: Path, target: Path, rng: random.Random) -> None:
        with zipfile.ZipFile(source) as archive:
            parts = [(part.filename, archive.read(part)) for part in archive.infolist()]
        with zipfile.ZipFile(target, 'w', compression) as archive:
            for name, data in change(parts, rng):
                archive.writestr(name, data)
    return write


def without_part(parts: list, rng: random.Random) -> list:
    lost = rng.choice([name for name, _ in parts if '/data/' in name])
    return [part for part in parts if part[0] != lost]


def shorter_part(parts: list, rng: random.Random) -> list:
    lost = rng.choice([name for name, data in parts if '/data/' in name and len(data) > 16])
    return [(name, data[:len(data) // 2] if name == lost else data) for name, data in parts]


def swapped_parts(parts: list, rng: random.Random) -> list:
    """Tensor data under the name of another tensor of another size."""
    (a, x), (b, y) = rng.sample([part for part in parts if '/data/' in part[0]], 2)
    return [(name, {a: y, b: x}.get(name, data)) for name, data in parts]


def bomb(source: Path, target: Path, rng: random.Random) -> None:
    """Sixteen kilobytes that unpack to sixteen megabytes."""
    with zipfile.ZipFile(target, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', bytes(2 ** 24))


def written(content: bytes) -> Write:
    def write(source: Path, target: Path, rng: random.Random) -> None:
        target.write_bytes(content)
    return write


def folder(source: Path, target: Path, rng: random.Random) -> None:
    target.mkdir()


def legacy(source: Path, target: Path, rng: random.Random) -> None:
    """The format of torch before 1.6, which is no archive: intact."""
    torch.save(torch.load(source, weights_only=True), target, _use_new_zipfile_serialization=False)


def legacy_truncated(source: Path, target: Path, rng: random.Random) -> None:
    legacy(source, target, rng)
    truncated(target, target, rng)


BYTES: dict[str, tuple[int, Write]] = {
    'truncated': (14, truncated), 'end missing': (3, end_missing), 'bit flipped anywhere': (24, flipped),
    'bit flipped in a tensor': (12, flipped_weight), 'block of zeros': (6, block_zeroed),
    'part missing': (3, repacked(zipfile.ZIP_STORED, without_part)),
    'part cut': (3, repacked(zipfile.ZIP_STORED, shorter_part)),
    'parts swapped': (3, repacked(zipfile.ZIP_STORED, swapped_parts)),
    'packed': (1, repacked(zipfile.ZIP_DEFLATED, lambda parts, rng: parts)), 'packed bomb': (1, bomb),
    'text file': (1, written(b'state_dict: none\n' * 9)), 'empty file': (1, written(b'')),
    'zeros': (1, written(bytes(5000))), 'only a zip header': (1, written(b'PK\x03\x04')), 'folder': (1, folder),
    'legacy format': (2, legacy), 'legacy format truncated': (3, legacy_truncated)}

# files that want to execute something

MARKER = 'executed'


class Call:
    """Calls something when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class State:
    """Calls something when its state is set."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return OrderedDict, (), self.call


def calls(folder: Path) -> dict[str, Any]:
    """What a hostile file may ask for; each leaves a marker in a folder."""
    import subprocess  # noqa: S404

    marker = folder / MARKER
    source = f'open({str(marker)!r}, "w").close()'
    return {
        'os.system': Call(os.system, f'touch {marker}'), 'eval': Call(eval, source), 'exec': Call(exec, source),
        'open': Call(open, str(marker), 'w'), 'subprocess.Popen': Call(subprocess.Popen, ['touch', str(marker)]),
        'os.mkdir': Call(os.mkdir, str(marker)), 'Path.touch': Call(Path.touch, marker),
        '__import__': Call(getattr, Call(__import__, 'os'), 'system'), 'state': State(Call(eval, source))}


def hostile_files(source: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Checkpoints with a call in every place and format."""
    def target(name: str) -> Path:
        return folder / f'{name.replace(" ", "_").replace("/", "_")}.pth'

    for name, call in calls(folder).items():
        content = torch.load(source, weights_only=True)
        content['meta']['extra'] = call
        torch.save(content, target(name))
        yield f'{name} in meta', target(name)
    call = calls(folder)['os.system']
    for place in ('state_dict', 'optimizer', 'message_hub', 'param_schedulers'):
        content = torch.load(source, weights_only=True)
        content[place] = {**content[place], 'x': call} if isinstance(content[place], dict) else [call]
        torch.save(content, target(place))
        yield f'os.system in {place}', target(place)
    target('plain').write_bytes(pickle.dumps({'state_dict': call}))
    yield 'plain pickle', target('plain')
    target('old').write_bytes(pickle.dumps({'state_dict': call}, protocol=0))
    yield 'plain pickle of protocol 0', target('old')
    content = torch.load(source, weights_only=True)
    torch.save({**content, 'meta': call}, target('legacy'), _use_new_zipfile_serialization=False)
    yield 'legacy format', target('legacy')
    repacked(zipfile.ZIP_STORED, lambda parts, rng: [
        (name, pickle.dumps(call) if name.endswith('data.pkl') else data) for name, data in parts])(
            source, target('inside'), random.Random(0))
    yield 'pickle inside the archive', target('inside')
    script = io.BytesIO()
    with zipfile.ZipFile(script, 'w') as archive:
        archive.writestr('archive/constants.pkl', pickle.dumps(call))
        archive.writestr('archive/data.pkl', pickle.dumps(call))
        archive.writestr('archive/version', '3')
    target('script').write_bytes(script.getvalue())
    yield 'TorchScript', target('script')


# content

WEIGHTS: dict[str, Change] = {}
META: dict[str, Change] = {}
OPTIMIZER: dict[str, Change] = {}
SCHEDULES: dict[str, Change] = {}
HUB: dict[str, Change] = {}
CARD: dict[str, Change] = {}
HOOKS: dict[str, Change] = {}


def _set(*path: Any, value: Any) -> Change:
    """Puts a value at a place; one that is callable is made from the content."""
    def change(content: dict, rng: random.Random) -> None:
        node = content
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value(node[path[-1]]) if callable(value) else value
    return change


def _drop(*path: Any) -> Change:
    def change(content: dict, rng: random.Random) -> None:
        node = content
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]
    return change


def _weight(make: Callable[[torch.Tensor], Any], kind: str = '.weight') -> Change:
    def change(content: dict, rng: random.Random) -> None:
        state = content['state_dict']
        name = rng.choice([name for name, value in state.items() if name.endswith(kind) and value.ndim > 1
                           and '_k.' not in name])
        state[name] = make(state[name].clone())
    return change


def _swap_names(content: dict, rng: random.Random) -> None:
    state = content['state_dict']
    a, b = rng.sample([name for name in state if name.endswith('.weight')], 2)
    state[a], state[b] = state[b], state[a]


def _rename(content: dict, rng: random.Random) -> None:
    state = content['state_dict']
    name = rng.choice([name for name in state if name.endswith('.weight') and '_k.' not in name])
    state[name + '_'] = state.pop(name)


def _lose(content: dict, rng: random.Random) -> None:
    state = content['state_dict']
    names = [name for name in state if 'backbone.' in name and name.endswith(('.weight', '.running_var'))]
    del state[rng.choice(names)]


def _endless() -> list:
    values: list = [1]
    values.append(values)
    return values


def _deep(levels: int = 200) -> list:
    values: list = []
    for _ in range(levels):
        values = [values]
    return values


def _explosive() -> list:
    """Thirty levels of lists that hold the next one ten times."""
    values: Any = ['x']
    for _ in range(30):
        values = [values] * 10
    return values


def _own_values(content: dict, rng: random.Random) -> None:
    """A dict whose method ``values`` is a text."""
    content['state_dict'] = OrderedDict(content['state_dict'])
    content['state_dict'].values = 'none'


def _own_metadata(content: dict, rng: random.Random) -> None:
    content['state_dict'] = OrderedDict(content['state_dict'])
    content['state_dict']._metadata = 'none'


def _memory(value: int) -> Change:
    def change(content: dict, rng: random.Random) -> None:
        for name in content['state_dict']:
            if name.endswith('memory.filled'):
                content['state_dict'][name] = torch.tensor(value)
    return change


WEIGHTS |= {
    'names swapped': _swap_names, 'names swapped again': _swap_names, 'name changed': _rename, 'weight missing': _lose,
    'shape flat': _weight(lambda w: w.flatten()), 'shape cut': _weight(lambda w: w[:1]),
    'shape with one more': _weight(lambda w: w[None]), 'no values': _weight(lambda w: w[:0]),
    'integers': _weight(lambda w: w.long()), 'complex': _weight(lambda w: w.to(torch.complex64)),
    'bool': _weight(lambda w: w > 0), 'half precision': _weight(lambda w: w.half()),
    'double precision': _weight(lambda w: w.double()), 'too large for float': _weight(lambda w: w.double() * 0 + 1e300),
    'NaN': _weight(lambda w: w * float('nan')), 'one infinite': _weight(lambda w: w.index_fill(
        0, torch.tensor([0]), float('inf'))), 'sparse': _weight(lambda w: w.to_sparse()),
    'quantized': _weight(lambda w: torch.quantize_per_tensor(w, .1, 0, torch.qint8)),
    'meta device': _weight(lambda w: w.to('meta')), 'numbers in a list': _weight(lambda w: w.tolist()),
    'a trillion values from one': _weight(lambda w: torch.zeros(1).expand(10 ** 6, 10 ** 6)),
    'state_dict a list': _set('state_dict', value=lambda state: list(state.values())),
    'state_dict None': _set('state_dict', value=None), 'state_dict text': _set('state_dict', value='weights'),
    'state_dict empty': _set('state_dict', value={}), 'state_dict of numbers': _set('state_dict', value={'lr': .1}),
    'state_dict with numbers as names': _set('state_dict', value=lambda state: dict(enumerate(state.values()))),
    'state_dict nested': _set('state_dict', value=lambda state: {'model': state}),
    'state_dict missing': _drop('state_dict'), 'names of a wrapper': _set(
        'state_dict', value=lambda state: {f'module.{name}': value for name, value in state.items()}),
    'weights of something else': _set('state_dict', value={'fc.weight': torch.ones(3, 3)}),
    'one weight too many': _set('state_dict', value=lambda state: {**state, 'backbone.extra.weight': torch.ones(2)}),
    'a number among them': _set('state_dict', value=lambda state: {**state, 'note': 3}),
    'memory of fewer than none': _memory(-5), 'memory of more than it has': _memory(10 ** 9),
    'methods of a dict replaced': _own_values, 'versions of modules text': _own_metadata}

META |= {
    'meta missing': _drop('meta'), 'meta None': _set('meta', value=None), 'meta a list': _set('meta', value=[1]),
    'meta a tensor': _set('meta', value=torch.ones(2)), 'epoch missing': _drop('meta', 'epoch'),
    'epoch text': _set('meta', 'epoch', value='one'), 'epoch negative': _set('meta', 'epoch', value=-1),
    'epoch a fraction': _set('meta', 'epoch', value=.5), 'epoch true': _set('meta', 'epoch', value=True),
    'epoch a tensor': _set('meta', 'epoch', value=torch.tensor(1)), 'epoch far': _set('meta', 'epoch', value=10 ** 6),
    'iter text': _set('meta', 'iter', value='three'), 'iter immense': _set('meta', 'iter', value=10 ** 30),
    'iter below epoch': _set('meta', 'iter', value=0), 'seed text': _set('meta', 'seed', value='x'),
    'seed immense': _set('meta', 'seed', value=2 ** 64), 'seed another': _set('meta', 'seed', value=7),
    'data set endless': _set('meta', 'dataset_meta', value=_endless()),
    'data set deep': _set('meta', 'dataset_meta', value=_deep()),
    'data set a tensor': _set('meta', 'dataset_meta', value=torch.ones(3)),
    'data set with tensors': _set('meta', 'dataset_meta', 'classes', value=torch.ones(3)),
    'data set missing': _drop('meta', 'dataset_meta'), 'time a dict': _set('meta', 'time', value={1: 2}),
    'config None': _set('meta', 'cfg', value=None)}

OPTIMIZER |= {
    'optimizer missing': _drop('optimizer'), 'optimizer None': _set('optimizer', value=None),
    'optimizer a list': _set('optimizer', value=[1, 2]), 'groups missing': _drop('optimizer', 'param_groups'),
    'groups empty': _set('optimizer', 'param_groups', value=[]),
    'groups twice': _set('optimizer', 'param_groups', value=lambda groups: groups * 2),
    'a group None': _set('optimizer', 'param_groups', 0, value=None),
    'rate text': _set('optimizer', 'param_groups', 0, 'lr', value='fast'),
    'rate NaN': _set('optimizer', 'param_groups', 0, 'lr', value=float('nan')),
    'rate a list': _set('optimizer', 'param_groups', 0, 'lr', value=[.1]),
    'momentum missing': _drop('optimizer', 'param_groups', 0, 'momentum'),
    'nesterov text': _set('optimizer', 'param_groups', 0, 'nesterov', value='yes'),
    'parameters fewer': _set('optimizer', 'param_groups', 0, 'params', value=lambda ids: ids[:-1]),
    'parameters the same': _set('optimizer', 'param_groups', 0, 'params', value=lambda ids: [0] * len(ids)),
    'parameters text': _set('optimizer', 'param_groups', 0, 'params', value='all'),
    'state missing': _drop('optimizer', 'state'), 'state a list': _set('optimizer', 'state', value=[]),
    'state empty': _set('optimizer', 'state', value={}),
    'state of other parameters': _set('optimizer', 'state', value=lambda state: {k + 999: v for k, v in state.items()}),
    'state by name': _set('optimizer', 'state', value=lambda state: {f'p{k}': v for k, v in state.items()}),
    'state moved on by one': _set('optimizer', 'state', value=lambda state: {
        k: state[list(state)[i - 1]] for i, k in enumerate(state)}),
    'a moment None': _set('optimizer', 'state', 2, value=None),
    'a moment of another shape': _set('optimizer', 'state', 2, 'momentum_buffer', value=torch.ones(5)),
    'a moment text': _set('optimizer', 'state', 2, 'momentum_buffer', value='x'),
    'a moment NaN': _set('optimizer', 'state', 2, 'momentum_buffer', value=lambda m: m * float('nan')),
    'a moment sparse': _set('optimizer', 'state', 2, 'momentum_buffer', value=lambda m: m.to_sparse()),
    'moments of Adam': _set('optimizer', 'state', 2, value={'exp_avg': torch.ones(1)})}

SCHEDULES |= {
    'schedules missing': _drop('param_schedulers'), 'schedules None': _set('param_schedulers', value=None),
    'schedules empty': _set('param_schedulers', value=[]), 'schedules text': _set('param_schedulers', value=['x']),
    'one schedule too many': _set('param_schedulers', value=lambda schedules: schedules * 2),
    'step text': _set('param_schedulers', 0, 'last_step', value='one'),
    'step immense': _set('param_schedulers', 0, 'last_step', value=10 ** 30),
    'step missing': _drop('param_schedulers', 0, 'last_step'),
    'a method replaced': _set('param_schedulers', 0, value=lambda state: {**state, 'step': 1}),
    'milestones a list': _set('param_schedulers', 0, 'milestones', value=[1]),
    'milestones text': _set('param_schedulers', 0, 'milestones', value='x'),
    'gamma NaN': _set('param_schedulers', 0, 'gamma', value=float('nan')),
    'values too many': _set('param_schedulers', 0, '_last_value', value=[.1, .1, .1]),
    'parameter a number': _set('param_schedulers', 0, 'param_name', value=3),
    'of a cosine': _set('param_schedulers', 0, value=lambda state: {
        **{k: v for k, v in state.items() if k not in ('milestones', 'gamma')}, 'T_max': 3, 'eta_min': 0.})}

LOGGED = ('message_hub', 'log_scalars', 'train/lr')
INFO = ('message_hub', 'runtime_info')
HUB |= {
    'hub missing': _drop('message_hub'), 'hub a list': _set('message_hub', value=[1]),
    'hub empty': _set('message_hub', value={}), 'logs missing': _drop('message_hub', 'log_scalars'),
    'logs a list': _set('message_hub', 'log_scalars', value=[1]), 'a log a number': _set(*LOGGED, value=3),
    'a log without counts': _drop(*LOGGED, 'count'),
    'a log of text': _set(*LOGGED, 'HistoryBuffer', value='x'),
    'a log of two axes': _set(*LOGGED, 'HistoryBuffer', value=lambda log: log[None]),
    'a log longer than its counts': _set(*LOGGED, 'HistoryBuffer', value=lambda log: log.repeat(2)),
    'a log of a trillion': _set(*LOGGED, 'HistoryBuffer', value=torch.zeros(1).double().expand(10 ** 12)),
    'a log of no length': _set(*LOGGED, 'max_length', value=0),
    'a log with a length of text': _set(*LOGGED, 'max_length', value='x'),
    'info a list': _set(*INFO, value=[1]), 'info endless': _set(*INFO, 'eta', value=_endless()),
    'info explosive': _set(*INFO, 'eta', value=_explosive()), 'info deep': _set(*INFO, 'eta', value=_deep()),
    'kept checkpoints elsewhere': _set(*INFO, 'keep_ckpt_ids', value=['/../../../important']),
    'kept checkpoints a number': _set(*INFO, 'keep_ckpt_ids', value=3),
    'keys a list': _set('message_hub', 'resumed_keys', value=[1]),
    'keys of nothing': _set('message_hub', 'resumed_keys', value=lambda keys: {**keys, 'nothing': True}),
    'iter text, which the run knows better': _set(*INFO, 'iter', value='x')}

IN_CARD = ('meta', 'mmactclr')
CARD |= {
    'card missing': _drop(*IN_CARD), 'card a list': _set(*IN_CARD, value=[1]),
    'card a tensor': _set(*IN_CARD, value=torch.ones(2)), 'card of tomorrow': _set(*IN_CARD, 'version', value=2),
    'model a function': _set(*IN_CARD, 'model', value={'type': 'os.system', 'command': f'touch {MARKER}'}),
    'model fetched': _set(*IN_CARD, 'model', 'init_cfg', value={'type': 'Pretrained', 'checkpoint': 'http://x/y.pth'}),
    'model unknown': _set(*IN_CARD, 'model', 'type', value='MoCo\n\x1b[31m../../'),
    'model text': _set(*IN_CARD, 'model', value='MoCo'),
    'model endless': _set(*IN_CARD, 'model', 'x', value=_endless()),
    'layout another': _set(*IN_CARD, 'layout', 'joints', value=lambda joints: joints[:-1]),
    'layout a path': _set(*IN_CARD, 'layout', 'name', value='../../etc/passwd'),
    'layout of numbers': _set(*IN_CARD, 'layout', 'joints', value=5),
    'bones to nowhere': _set(*IN_CARD, 'layout', 'bones', value=[[0, 10 ** 9]]),
    'frames text': _set(*IN_CARD, 'num_frames', value='many'), 'frames immense': _set(
        *IN_CARD, 'num_frames', value=10 ** 9), 'persons none': _set(*IN_CARD, 'max_persons', value=0),
    'classes numbers': _set(*IN_CARD, 'classes', value=[1, 2]),
    'preparation a function': _set(*IN_CARD, 'preparation', value=[{'type': 'os.system'}]),
    'preparation text': _set(*IN_CARD, 'preparation', value='all'),
    'stream another': _set(*IN_CARD, 'model', value=lambda model: {**model, 'stream': 'smell', 'streams': ['smell']}),
    'source hostile': _set(*IN_CARD, 'source', value='$(touch executed)`touch executed`\n{0.__class__}')}

def _deep_recipe(recipe: dict) -> dict:
    """Hundreds of dicts in each other."""
    value: dict = {}
    for _ in range(400):
        value = {'x': value}
    return {**recipe, 'deep': value}


STATS = ('actionlet_stats',)
HOOKS |= {
    'position a number': _set('position', value=3), 'position without share': _drop('position', 'share'),
    'position of a share that is a list': _set('position', 'share', value=[1, 2, 3]),
    'batches text': _set('position', 'batches', value='x'), 'batches beyond the epoch': _set(
        'position', 'batches', value=10 ** 6),
    'steps immense': _set('position', 'share', 'steps', value=10 ** 400),
    'order of a seed too large': _set('position', 'sampler_seed', value=2 ** 70),
    'order of a seed of text': _set('position', 'sampler_seed', value='x'),
    'generators of nobody': _set('position', 'random', value=lambda states: states[:0]),
    'generators without numbers': _set('position', 'random', value=lambda states: states.to('meta')),
    'gradients of one axis': _set('position', 'accumulated', value=torch.ones(3)),
    'gradients whole numbers': _set('position', 'accumulated', value=torch.ones(1, 3).long()),
    'logged a number': _set('logged_scalars', value=3), 'logged lists': _set('logged_scalars', value=[[1]]),
    'statistics a number': _set(*STATS, value=3), 'sums a number': _set(*STATS, value={'sums': 3}),
    'sums text': _set(*STATS, value={'sums': {'mask_mean': 'x'}, 'counts': {'mask_mean': 1}}),
    'sums NaN': _set(*STATS, value={'sums': {'mask_mean': float('nan')}, 'counts': {'mask_mean': 1}}),
    'sums immense': _set(*STATS, value={'sums': {'mask_mean': 10 ** 400}, 'counts': {'mask_mean': 1}}),
    'counts text': _set(*STATS, value={'sums': {'mask_mean': 1.}, 'counts': {'mask_mean': 'x'}}),
    'counts of others': _set(*STATS, value={'sums': {'mask_mean': 1.}, 'counts': {}}),
    'checksum a number': _set('meta', 'dataset_meta', 'checksum', value=3),
    'session immense': _set('meta', 'session', value=10 ** 400),
    'session NaN': _set('meta', 'session', value=float('nan')), 'session text': _set('meta', 'session', value='x'),
    'recipe text': _set('meta', 'recipe', value='x'), 'recipe deep': _set('meta', 'recipe', value=_deep_recipe),
    'recipe endless': _set('meta', 'recipe', 'x', value=_endless()),
    'recipe with numbers as names': _set('meta', 'recipe', value={1: 2}),
    'best score text': _set(*INFO, 'best_score', value='x'),
    'best score immense': _set(*INFO, 'best_score', value=10 ** 400),
    'iter far': _set('meta', 'iter', value=2 ** 52)}
CONTENT = {'weights': WEIGHTS, 'meta': META, 'optimizer': OPTIMIZER, 'schedules': SCHEDULES, 'message hub': HUB,
           'card': CARD, 'state of hooks': HOOKS}
