"""Attacks on the pickle reader, with what the interpreter itself reports while a file is read."""
import builtins
import codecs
import copyreg
import datetime
import functools
import io
import operator
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmactclr.errors import DataError
from mmactclr.utils.safe_pickle import read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
# what happens when a file is read; everything else is the file's doing
HARMLESS = {'open', 'os.stat', 'mmap.__new__', 'builtins.id'}
AUDIT: dict = {'events': None}


def note_event(event: str, arguments: tuple) -> None:
    if AUDIT['events'] is not None and event not in HARMLESS:
        AUDIT['events'].append((event, arguments))


sys.addaudithook(note_event)
for codec in ('raw_unicode_escape', 'unicode_escape', 'latin1'):  # which are imported when first used
    codecs.lookup(codec)


def load(path: Path):
    """Reads a file; nothing may be imported, compiled, looked up or started meanwhile, whatever becomes of it."""
    AUDIT['events'] = events = []
    try:
        return read_pickle(path)
    finally:
        AUDIT['events'] = None
        assert not events, events


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


class Plain:
    """Pickles as an instance."""

    __slots__ = ()


MARKER = 'marker.txt'


def hide_in_array(value) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


# every one of these does something, or would, where it is unpickled
PAYLOADS = {
    'os.system': lambda marker: Call(os.system, f'echo > {marker}'),
    'subprocess': lambda marker: Call(subprocess.check_call, [sys.executable, '-c', f'open({marker!r}, "w")']),
    'eval': lambda marker: Call(builtins.eval, f'open({marker!r}, "w")'),
    'exec': lambda marker: Call(builtins.exec, f'open({marker!r}, "w")'),
    'open': lambda marker: Call(io.open, marker, 'w'),
    'numpy.savetxt': lambda marker: Call(np.savetxt, marker, [1.]),
    'numpy.save': lambda marker: Call(np.save, marker, [1.]),
    'numpy.load': lambda marker: Call(np.load, marker, None, True),
    'numpy.fromfile': lambda marker: Call(np.fromfile, __file__),
    'numpy.memmap': lambda marker: Call(np.memmap, marker, 'u1', 'w+', 0, (1,)),
    'partial': lambda marker: Call(functools.partial(os.system, f'echo > {marker}')),
    'getattr': lambda marker: Call(getattr, os, 'system'),
    'attrgetter': lambda marker: Call(operator.attrgetter('system'), os),
    'methodcaller': lambda marker: Call(operator.methodcaller('write_text', 'x'), Path(marker)),
    'in an object array': lambda marker: hide_in_array(Call(io.open, marker, 'w')),
    'as a dict key': lambda marker: {Call(io.open, marker, 'w'): 1},
    'as a state': lambda marker: Call(np.dtype, 'f4', False, True, state=Call(io.open, marker, 'w')),
    'a class': lambda marker: os._wrap_close,
    'a function': lambda marker: os.system,
    'an instance': lambda marker: Plain(),
    'a date': lambda marker: datetime.date(2020, 1, 1),
    'a path': lambda marker: Path(marker),
    'an object array': lambda marker: np.array([None, 'a'], dtype=object),
    'a structured array': lambda marker: np.zeros(2, dtype=[('a', 'f4')]),
    'dates of numpy': lambda marker: np.array(['2020-01-01'], dtype='M8[D]'),
    'a masked array': lambda marker: np.ma.array([1, 2]),
}


def dump(value, protocol: int) -> bytes:
    try:
        return pickle.dumps(value, protocol)
    except TypeError:  # a class of slots cannot be pickled by the old protocols
        pytest.skip(f'not in protocol {protocol}')


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('name', PAYLOADS)
def test_nothing_else_is_read_and_nothing_runs(name, protocol, tmp_path):
    marker = tmp_path / MARKER
    path = write(tmp_path / 'evil.pkl', dump([PAYLOADS[name](str(marker))], protocol))
    with pytest.raises(DataError, match='evil.pkl') as caught:
        load(path)
    assert not marker.exists() and '\n' not in str(caught.value)
    assert 'nothing in it was run' in str(caught.value), caught.value


def test_the_payloads_would_run(tmp_path):
    """That nothing ran above says something."""
    for name in ('os.system', 'subprocess', 'eval', 'exec', 'open', 'numpy.savetxt', 'numpy.memmap', 'partial',
                 'methodcaller', 'in an object array', 'as a dict key'):
        marker = tmp_path / f'{name}.txt'
        try:
            pickle.loads(pickle.dumps(PAYLOADS[name](str(marker)), 4))
        except TypeError:  # raised after the payload has run
            assert name == 'as a dict key'
        assert marker.exists(), name


P61 = 2 ** 61 - 1  # whole numbers that differ by it hash alike


def long1(value: int) -> bytes:
    digits = pickle.encode_long(value)
    return b'\x8a' + bytes([len(digits)]) + digits


MANY = [k * P61 for k in range(100, 40_000)]
SLOW = {
    'keys that hash alike': b'}(' + b''.join(long1(k) + b'N' for k in MANY) + b'u.',
    'members that hash alike': b'\x8f(' + b''.join(map(long1, MANY)) + b'\x90.',
    'members of an old set': b'cbuiltins\nset\n(](' + b''.join(map(long1, MANY)) + b'etR.',
    'places that hash alike': b'N' + b''.join(b'p%d\n' % k for k in MANY) + b'.',
    'a tuple whose hash takes for ever': b'}' + b')' + b'2\x86' * 60 + b'Ns.',
}


@pytest.mark.parametrize('name', SLOW)
def test_no_file_takes_long(name, tmp_path):
    """Half a megabyte of such numbers would take half a minute, two megabytes ten."""
    start = time.monotonic()
    with pytest.raises(DataError):
        load(write(tmp_path / 'slow.pkl', SLOW[name]))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize('content', [
    b'V\\ud800\n.', b'X\x03\x00\x00\x00\xed\xa0\x80.', b'\x8c\x03\xed\xa0\x80.',
    b'\x8d\x03\x00\x00\x00\x00\x00\x00\x00\xed\xa0\x80.', b"S'\\N{BULLET}'\n.", b"S'\\q'\n."])
def test_text_that_cannot_be_written_again_is_damage(content, tmp_path):
    with pytest.raises(DataError, match='damaged'):
        load(write(tmp_path / 'text.pkl', content))


@pytest.fixture
def extension():
    """An extension code of somebody's process, which makes a two-byte opcode of os.system."""
    copyreg.add_extension('os', 'system', 177)
    yield
    copyreg.remove_extension('os', 'system', 177)


def test_extension_codes(extension, tmp_path):
    content = b'\x82\xb1(X\x04\x00\x00\x00truetR.'
    assert pickle.loads(content) == 0
    with pytest.raises(DataError, match='EXT1'):
        load(write(tmp_path / 'a.pkl', content))


VALUES = [1, -1, 2**40, True, None, 1.5, 'text', b'bytes', bytearray(b'more'), (1, (2, 3)), {1, 'a'}, frozenset([3]),
          np.float16(.5), np.str_('name'), np.arange(6, dtype=np.float16).reshape(2, 3), np.array(['wave', 'nod'])]


def test_mutated_pickles_give_plain_data_or_an_error(tmp_path):
    """Random damage and random opcodes in files of every protocol: values or a DataError, and nothing else happens."""
    rng = np.random.default_rng(5)
    annotations = dict(split={'xsub_train': ['a'], 'xsub_val': ['b']}, annotations=[
        dict(frame_dir=name, label=np.int64(1), total_frames=2, keypoint=np.ones((1, 2, 3, 2), np.float16),
             img_shape=(1080, 1920)) for name in 'ab'])
    sources = [pickle.dumps(value, protocol) for protocol in PROTOCOLS for value in (annotations, VALUES)]
    sources += [pickle.dumps([Call(os.system, 'true')], protocol) for protocol in PROTOCOLS]
    opcodes = np.frombuffer(b''.join(value for name, value in vars(pickle).items()
                                     if name.isupper() and isinstance(value, bytes)), np.uint8)
    read, refused, slowest = 0, 0, 0.
    for i in range(3000):
        data = bytearray(sources[i % len(sources)])
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(data)))
            kind = int(rng.integers(6))
            if kind == 0:
                data[at] = int(rng.integers(256))
            elif kind == 1:
                data[at] = int(rng.choice(opcodes))
            elif kind == 2:
                data[at:at] = rng.choice(opcodes, int(rng.integers(1, 4))).tobytes()
            elif kind == 3:
                del data[at:at + int(rng.integers(1, 9))]
            elif kind == 4:
                data[at:at + 8] = data[(start := int(rng.integers(len(data)))):start + 8]
            else:
                data[at:at + 4] = int(rng.integers(2**32)).to_bytes(4, 'little')
            data = data or bytearray(b'N')
        start = time.monotonic()
        try:
            load(write(tmp_path / 'mutated.pkl', bytes(data)))
            read += 1
        except DataError as error:
            refused += 1
            assert 'mutated.pkl' in str(error) and str(error).isprintable()
        slowest = max(slowest, time.monotonic() - start)
    assert read > 50 and refused > 1000 and slowest < 2
