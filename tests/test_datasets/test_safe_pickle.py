"""The restricted pickle reader: what it reads, what it refuses, and that nothing runs."""
import builtins
import collections
import copyreg
import functools
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mmactclr.errors import DataError
from mmactclr.utils.safe_pickle import read_pickle

PLAIN = [
    np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6.).reshape(2, 3)), np.float16([[1.5]]),
    np.arange(3, dtype='>i4'), np.zeros((0, 3)), np.array(1.), np.array([True, False]), np.array(['a', 'bcd']),
    np.array([b'x']), np.float32(1.5), np.int64(3), np.bool_(True), np.str_('abc'), np.dtype('<f4'), b'', b'x',
    bytearray(b''), bytearray(b'q'), {1, 'b'}, frozenset('ab'), {'a': (1, [2]), 2: None}, None, 2.5, 10 ** 30, -1,
    True, '\u00e9\u2603', (), [], {}, ((1, 2), (1, 2, 3, 4))]


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads them as a pickle."""

    def run(content: bytes):
        (tmp_path / 'x.pkl').write_bytes(content)
        return read_pickle(tmp_path / 'x.pkl')

    return run


def assert_equal(ours, theirs):
    assert type(ours) is type(theirs), (ours, theirs)
    if isinstance(theirs, (np.ndarray, np.generic)):
        assert ours.dtype.newbyteorder('=') == theirs.dtype.newbyteorder('=')
        assert ours.shape == theirs.shape and ours.tolist() == theirs.tolist()
    elif isinstance(theirs, (list, tuple)):
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize('protocol', range(6))
def test_reads_what_pickle_reads(read, protocol):
    content = pickle.dumps(PLAIN, protocol=protocol)
    assert_equal(read(content), pickle.loads(content))
    if protocol < 4:  # later ones note the length of the text
        for old, new in ((b'numpy._core', b'numpy.core'), (b'numpy.core', b'numpy._core')):
            assert_equal(read(content.replace(b'c' + old, b'c' + new)), PLAIN)


def test_ordered_dict_and_shared_values(read):
    array = np.arange(4)
    found = read(pickle.dumps([collections.OrderedDict(a=1), array, (array, [array]), {'k': array}]))
    assert found[0] == {'a': 1} and found[1] is found[2][0] is found[2][1][0] is found[3]['k']


@pytest.mark.parametrize('protocol', (3, 4, 5))
def test_arrays_are_views_of_the_file(tmp_path, protocol):
    """Small ones too, which protocol 4 puts into frames; they outlive everything else."""
    arrays = [np.full((80, 25, 3), i, np.float32) for i in range(300)]
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(arrays, protocol))
    tracemalloc.start()
    found = read_pickle(tmp_path / 'x.pkl')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sum(array.nbytes for array in arrays) / 10
    assert all(not ours.flags.writeable and np.array_equal(ours, theirs)
               for ours, theirs in zip(found, arrays, strict=True))


@pytest.mark.parametrize('protocol', range(6))
def test_long_bytes(read, protocol):
    values = [bytes(1000), bytearray(1000), np.bytes_(b'x' * 1000), np.array(['x' * 1000]), np.str_('y' * 1000)]
    assert read(pickle.dumps(values, protocol=protocol)) == values


def test_python_2(read):
    # protocol 2 of Python 2.7 with numpy 1.16: pickle.dumps((['S001'], [3L], np.arange(2, dtype='<i2')), 2)
    content = (b'\x80\x02]U\x04S001a]\x8a\x01\x03acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85'
               b'U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02i2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff'
               b'J\xff\xff\xff\xffK\x00tb\x89U\x04\x00\x00\x01\x00tb\x87.')
    names, labels, array = read(content)
    assert names == ['S001'] and labels == [3] and array.tolist() == [0, 1] and array.dtype == np.int16


class Reduce:
    """Pickles as a call of what it is given."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def hostile(marker: Path) -> dict[str, object]:
    """Values that write a file, or more, when they are unpickled without care."""
    text = str(marker)
    nested = np.empty(1, dtype=object)
    nested[0] = Reduce(os.mkdir, (text,))
    return {
        'os.system': Reduce(os.system, (f'touch {text}',)),
        'builtins.eval': Reduce(builtins.eval, (f'open({text!r}, "w")',)),
        'exec': Reduce(builtins.exec, (f'open({text!r}, "w")',)),
        'open': Reduce(open, (text, 'w')),
        'numpy.savetxt': Reduce(np.savetxt, (text, [1.])),
        'numpy.save': Reduce(np.save, (text, [1.])),
        'numpy.load': Reduce(np.load, (text, None, True)),
        'numpy.memmap': Reduce(np.memmap, (text, 'uint8', 'w+', 0, (9,))),
        'functools.partial': Reduce(functools.partial(os.mkdir, text), ()),
        'getattr': Reduce(getattr, ('', 'join')),
        'object array': nested,
        'nested object array': [{'keypoint': (nested,)}],
        'class': Path(text),
        'complex': 1j,
        'numpy.recarray': np.zeros(1).view(np.recarray),
        'record': np.zeros(1, dtype=[('a', 'f4')]),
        'date': np.datetime64('2020-01-01'),
        'zeros': Reduce(bytearray, (10 ** 12,)),
        'bytes': Reduce(bytes, (10 ** 12,)),
        'state': Reduce(dict, (), {'__class__': 1}),
        'defaultdict': collections.defaultdict(list),
        'import': Reduce(builtins.__import__, ('antigravity',)),
    }


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('kind', sorted(hostile(Path('x'))))
def test_payloads_are_refused_and_do_not_run(read, tmp_path, kind, protocol):
    marker = tmp_path / 'marker'
    try:
        content = pickle.dumps([PLAIN, hostile(marker)[kind]], protocol=protocol)
    except (TypeError, pickle.PicklingError):
        pytest.skip('this protocol cannot write it')
    with pytest.raises(DataError, match=r'x\.pkl holds .*nothing in it was run') as caught:
        read(content)
    assert not marker.exists() and '\n' not in str(caught.value) and len(str(caught.value)) < 500


def test_the_payloads_would_run_elsewhere(tmp_path):
    """What is refused above is dangerous indeed."""
    for kind in ('os.system', 'builtins.eval', 'numpy.savetxt', 'nested object array'):
        marker = tmp_path / kind.replace(' ', '_')
        pickle.loads(pickle.dumps(hostile(marker)[kind]))
        assert marker.exists()


NDARRAY, DTYPE = b'cnumpy\nndarray\n', b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"(I0\ntS'b'\ntR"
CRAFTED = {
    'the global is named': (b"cposix\nsystem\n(S'true'\ntR.", r"'posix.system'"),
    'dotted name': (b'\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.', 'dtype.__init__'),
    'persistent id': (b'Pid\n.', 'PERSID'),
    'binary persistent id': (b'K\x01Q.', 'BINPERSID'),
    'extension': (b'\x82\xf0.', 'EXT1'),
    'long extension': (b'\x84\xf0\x00\x00\x00.', 'EXT4'),
    'old instance': (b'(ios\nsystem\n.', 'INST'),
    'old object': (b'(cnumpy\ndtype\no.', 'OBJ'),
    'new object': (b'cnumpy\ndtype\n)\x81.', 'NEWOBJ'),
    'function as a value': (b'(lp0\ncnumpy\ndtype\na.', 'numpy.dtype as a value'),
    'array that was never filled': (ARRAY + b'.', 'without shape'),
    'call of an array': (NDARRAY + b'(I1000000000000\ntR.', 'call of numpy.ndarray'),
    'shape without bytes': (ARRAY + b'(I1\n(I1000000\nI1000000\nt' + DTYPE + b"I00\nS''\ntb.", 'says it is'),
    'shape beyond counting': (ARRAY + b'(I1\n(I' + b'9' * 50 + b'\nt' + DTYPE + b"I00\nS''\ntb.", 'few counts'),
    'zero times much': (ARRAY + b'(I1\n(I0\nI' + b'9' * 50 + b'\nt' + DTYPE + b"I00\nS''\ntb.", 'few counts'),
    'negative shape': (ARRAY + b'(I1\n(I-1\nI-1\nt' + DTYPE + b"I00\nS'aaaa'\ntb.", 'few counts'),
    'dtype of objects': (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", "dtype 'O8'"),
    'dtype of a record': (b"cnumpy\ndtype\n(S'f4,f4'\nI0\nI1\ntR.", 'f4,f4'),
    'text of no size': (b"cnumpy\ndtype\n(S'U0'\nI0\nI1\ntR.", "'U0'"),
    'state with fields': (DTYPE + b"(I3\nS'<'\nN(S'a'\ntNI1\nI1\nI0\ntb.", 'byte order'),
    'change of a function': (b'cnumpy\ndtype\n(N}X\x01\x00\x00\x00atb.', "state for 'Call'"),
    'change of a list': (b'](N}tb.', "state for 'list'"),
    'call of a list': (b'](tR.', "call of 'list'"),
    'other encoding': (b"c_codecs\nencode\n(S'a'\nS'zlib'\ntR.", 'latin1'),
    'tuple as a key': (b'})K\x01s.', "type 'tuple'"),
    'array in a set': (b'\x8f(' + ARRAY + b'\x90.', "type 'PickledArray'"),
    'contains itself': (b']\x94h\x00a.', 'damaged|nested'),
    'deep': (b'(' * 5000 + b'l' + b't' * 4999 + b'.', 'nested deeper'),
    'wrong text': (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'U1'\nI0\nI1\ntRS'\\xff\\xff\\xff\\xff'\ntR.",
                   'do not exist'),
}


@pytest.mark.parametrize('kind', CRAFTED)
def test_crafted(read, kind):
    content, message = CRAFTED[kind]
    if kind == 'contains itself':
        assert read(content)[0] is not None  # a list may; it is changed once
        return
    with pytest.raises(DataError, match=message):
        read(content)


DAMAGED = {
    'empty': b'', 'text': b'hello world', 'npy': b'\x93NUMPY\x01\x00', 'gzip': b'\x1f\x8b\x08', 'only stop': b'.',
    'protocol 9': b'\x80\x09N.', 'length of bytes': b'\x8e' + b'\xff' * 7 + b'\x0f.',
    'length of a bytearray': b'\x96' + b'\xff' * 7 + b'\x0f.', 'length of a frame': b'\x95' + b'\xff' * 7 + b'\x0f.',
    'length of text': b'X\xff\xff\xff\x7fa.', 'memo far away': b'Nr\xff\xff\xff\xffj\xff\xff\xff\x0f.',
    'no mark': b'K\x01t.', 'append to a number': b'K\x01K\x02a.', 'key without a value': b'}(K\x01u.',
    'items of a number': b'K\x01(K\x01K\x02u.', 'no number': b'Iabc\n.', 'long number': b'L' + b'9' * 10000 + b'L\n.'}


@pytest.mark.parametrize('kind', DAMAGED)
def test_damaged(read, kind):
    with pytest.raises(DataError, match=r'x\.pkl is (no pickle or is cut short or damaged|a zip, npz or npy file)'):
        read(DAMAGED[kind])


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match='does not exist'):
        read_pickle(tmp_path / 'none.pkl')


def test_extension_codes_of_the_process_are_not_used(read, monkeypatch):
    """The usual reader takes an object it once looked up from a cache, past ``find_class``."""
    monkeypatch.setitem(copyreg._extension_cache, 240, os.system)
    with pytest.raises(DataError, match='EXT1'):
        read(b'\x82\xf0(S"true"\ntR.')


def test_sharing_does_not_multiply_the_work(read):
    """2^200 leaves, 400 instructions."""
    content = b'\x80\x02K\x01' + b'2\x86' * 45 + b'.'
    found = read(content)
    for _ in range(45):
        assert found[0] is found[1] and len(found) == 2
        found = found[0]
    with pytest.raises(DataError, match='nested deeper'):
        read(b'\x80\x02K\x01' + b'2\x86' * 200 + b'.')


def assert_plain(value):
    if type(value) in (list, tuple, set, frozenset):
        for item in value:
            assert_plain(item)
    elif type(value) is dict:
        assert_plain([*value, *value.values()])
    else:
        assert type(value) in (np.ndarray, str, bytes, bytearray, int, float, bool, type(None)) or isinstance(
            value, (np.generic, np.dtype)), type(value)
        assert not isinstance(value, np.ndarray) or value.dtype.kind in 'biufSU'


@pytest.mark.parametrize('protocol', (0, 2, 4, 5))
def test_mutated_files(read, monkeypatch, protocol):
    """Plain values or a DataError, in bounded memory; nothing of numpy or the system is called on the way."""

    def never(*_, **__):
        raise AssertionError('the file reached a real function')

    rng, refused = np.random.default_rng(protocol), 0
    for module, name in ((os, 'system'), (np, 'load'), (np, 'save'), (np, 'savetxt'), (np, 'memmap')):
        monkeypatch.setattr(module, name, never)
    names = b'os system builtins eval exec numpy load save savetxt memmap dtype ndarray'.split()
    annotation = dict(frame_dir='S001', label=3, total_frames=2, keypoint=np.ones((1, 2, 3, 3), np.float16))
    content = pickle.dumps(dict(split=dict(a_train=['S001']), annotations=[annotation, PLAIN]), protocol=protocol)
    tracemalloc.start()
    for i in range(300):
        data = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            at, length = int(rng.integers(len(data))), int(rng.integers(1, 9))
            if i % 5 == 0:
                del data[at:]
            elif i % 5 == 1:
                data[at] = int(rng.integers(256))
            elif i % 5 == 2:
                data[at:at + length] = names[int(rng.integers(len(names)))]
            elif i % 5 == 3:
                data[at:at + length] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
            else:
                other = int(rng.integers(len(data)))
                data[at:at + length] = data[other:other + 4 * length]
            data = data or bytearray(b'.')
        try:
            assert_plain(read(bytes(data)))
        except DataError as error:
            refused += 1
            assert 'x.pkl' in str(error) and len(str(error)) < 600 and str(error).isprintable(), error
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 100 and peak < 50 * len(content) + 2 ** 22


def test_numpy_files_are_told_from_pickles(tmp_path):
    for name, save in (('a.npz', np.savez), ('a.npy', np.save)):
        save(tmp_path / name, np.arange(3))
        with pytest.raises(DataError, match=f'{name} is a zip, npz or npy file, expected a pickle'):
            read_pickle(tmp_path / name)
