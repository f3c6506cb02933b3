"""Reads numpy arrays and plain Python values from a pickle without running anything that the file asks for.

A pickle is a program. This interpreter knows only the instructions that lists, dicts, tuples, sets, text and numbers
need, and the few functions that numpy's own pickles call have stand-ins here, so nothing of numpy sees what a file says
before it was checked. Arrays are views of the file, which stays mapped: one that is larger than the memory can be read.
"""
import mmap
import pickle
import pickletools
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmactclr.errors import DataError

from .pickle_values import CALLS, Call, PickledArray, PickledDtype, Refused, finished, plain_key

_OPCODES = {op.name: ord(op.code) for op in pickletools.opcodes}
_NAMES = {code: name for name, code in _OPCODES.items()}
# Left out are those that make objects (INST, OBJ, NEWOBJ, NEWOBJ_EX) or take them from elsewhere (EXT1, EXT2, EXT4,
# PERSID, BINPERSID, NEXT_BUFFER, READONLY_BUFFER).
_ALLOWED = (
    'PROTO FRAME STOP MARK POP POP_MARK DUP GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE NONE NEWTRUE '
    'NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES '
    'SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 EMPTY_LIST LIST APPEND '
    'APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET '
    'GLOBAL STACK_GLOBAL REDUCE BUILD').split()
# What a damaged pickle makes an interpreter stumble over: stack or memo too short, text or numbers that are none.
_STUMBLES = (pickle.UnpicklingError, EOFError, struct.error, ValueError, IndexError, KeyError, TypeError,
             AttributeError, OverflowError, MemoryError, RecursionError)
# Places to remember values at; larger numbers can be chosen so that all of them hash alike.
_MOST_PLACES = 2 ** 32
# Bytes that are worth a view instead of a copy.
_LONG = 256
# How Python 2 spells text; the decoder warns of other escapes.
_ESCAPED = re.compile(rb'(?:[^\\]|\\(?:[\\\'"nrt]|x[0-9a-fA-F]{2}))*')

# How files of other formats begin that are taken for pickles.
_ZIP, _NPY = b'PK\x03\x04', b'\x93NUMPY'


def read_pickle(path: str | Path) -> Any:
    """What a pickle holds: numpy arrays, scalars and dtypes, None, numbers, text, bytes, list, tuple, dict, set.

    Protocols 0 to 5, those of Python 2 and both names of numpy's core included. Arrays are read-only. ``OrderedDict``
    becomes ``dict``, a long ``bytearray`` becomes ``bytes``.

    Raises:
        DataError: The file is missing, cut short or no pickle, or asks for anything else, which is named and was not
            run.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f'{path} does not exist: expected a pickle')
    with path.open('rb') as file:
        start = file.read(len(_NPY))
    if start.startswith((_ZIP, _NPY)):
        raise DataError(f'{path} is a zip, npz or npy file, expected a pickle: choose the format that it has')
    try:
        with path.open('rb') as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return finished(_Reader(_Mapped(content)).load())
    except Refused as error:
        raise DataError(f'{path} holds {error}: only numpy arrays of numbers or text and plain Python values are read '
                        'from a pickle, and nothing in it was run; write the file anew from those') from error
    except _STUMBLES as error:
        reason = ' '.join(str(error).split())[:100]
        raise DataError(f'{path} is no pickle or is cut short or damaged ({type(error).__name__}: {reason!a}): get the '
                        'file again') from error


class _Mapped:
    """A file in memory that is read as it is needed, and refuses to be asked for more than it has left."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 0

    def check(self, count: int) -> None:
        left = len(self._content) - self._at
        if not 0 <= count <= left:
            raise EOFError(f'{count} bytes are announced, {left} are left')

    def view(self, count: int) -> memoryview:
        self.check(count)
        start, self._at = self._at, self._at + count
        return memoryview(self._content)[start:self._at]

    def read(self, count: int) -> bytes:
        return bytes(self.view(count))

    def readline(self) -> bytes:
        end = self._content.find(b'\n', self._at)
        if end < 0:
            raise EOFError('the last line has no end')
        return self.read(end + 1 - self._at)


class _Instructions(dict):
    """Instruction code to what carries it out; an unknown one is refused by name."""

    def __missing__(self, code: int) -> Callable:
        if code in _NAMES:
            raise Refused(f'the pickle instruction {_NAMES[code]}')
        raise pickle.UnpicklingError(f'unknown instruction {code}')


class _Reader(pickle._Unpickler):
    """The interpreter in Python, whose C twin allocates before it reads and looks objects up in a cache.

    Everything that would call, look up or change an object is replaced by what checks its operands.
    """

    # what the interpreter of the standard library has
    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(self, file: _Mapped) -> None:
        self._source = file
        # Python 2 wrote bytes and text alike, numpy's as latin1
        super().__init__(file, encoding='latin1')

    def find_class(self, module: str, name: str) -> Call:
        if (module, name) not in CALLS:
            raise Refused(f'{f"{module}.{name}"[:80]!a}')
        return CALLS[module, name]

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        if type(function) is not Call or type(arguments) is not tuple:
            raise Refused(f'a call of {type(function).__name__!r}')
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if type(value) not in (PickledArray, PickledDtype):
            raise Refused(f'a state for {type(value).__name__!r}')
        value.set_state(state)

    def load_append(self) -> None:
        value = self.stack.pop()
        self._target(list).append(value)

    def load_appends(self) -> None:
        values = self.pop_mark()
        self._target(list).extend(values)

    def load_dict(self) -> None:
        values = self.pop_mark()
        self.append({})
        self._set_items(values)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def load_additems(self) -> None:
        values = self.pop_mark()
        self._target(set).update(map(plain_key, values))

    def load_frozenset(self) -> None:
        values = self.pop_mark()
        self.append(frozenset(map(plain_key, values)))

    def load_put(self) -> None:
        place = int(self.readline()[:-1])
        if not 0 <= place < _MOST_PLACES:
            raise pickle.UnpicklingError(f'a place of {place.bit_length()} bits to remember a value at')
        self.memo[place] = self.stack[-1]

    def load_string(self) -> None:
        line = self.readline().strip()
        if len(line) < 2 or line[:1] not in b'"\'' or line[-1:] != line[:1] or not _ESCAPED.fullmatch(line[1:-1]):
            raise pickle.UnpicklingError('a text without quotes or with unknown escapes')
        self.append(line[1:-1].decode('unicode_escape'))

    def load_unicode(self) -> None:
        self._append_text(self.readline()[:-1].decode('raw_unicode_escape'))

    def load_binunicode(self) -> None:
        self._append_text(self._counted('<I').decode())

    def load_short_binunicode(self) -> None:
        self._append_text(self._counted('B').decode())

    def load_binunicode8(self) -> None:
        self._append_text(self._counted('<Q').decode())

    def load_frame(self) -> None:
        # a frame is for those who read from a socket
        self._source.check(struct.unpack('<Q', self.read(8))[0])

    def load_binbytes(self) -> None:
        self._append_bytes('<I', bytes)

    def load_binbytes8(self) -> None:
        self._append_bytes('<Q', bytes)

    def load_bytearray8(self) -> None:
        self._append_bytes('<Q', bytearray)

    def _append_bytes(self, form: str, kind: type) -> None:
        size, = struct.unpack(form, self.read(struct.calcsize(form)))
        data = self._source.view(size)
        self.append(data if size >= _LONG else kind(data))

    def _counted(self, form: str) -> bytes:
        size, = struct.unpack(form, self.read(struct.calcsize(form)))
        return self.read(size)

    def _append_text(self, text: str) -> None:
        text.encode()  # half a surrogate pair can be written nowhere
        self.append(text)

    def _target(self, kind: type) -> Any:
        target = self.stack[-1]
        if type(target) is not kind:
            raise pickle.UnpicklingError(f'items of a {kind.__name__} for a {type(target).__name__}')
        return target

    def _set_items(self, values: list) -> None:
        if len(values) % 2:
            raise pickle.UnpicklingError('a key without a value')
        self._target(dict).update(zip(map(plain_key, values[::2]), values[1::2], strict=True))

    dispatch = _Instructions({_OPCODES[name]: pickle._Unpickler.dispatch[_OPCODES[name]] for name in _ALLOWED})
    dispatch.update({_OPCODES[function.__name__.removeprefix('load_').upper()]: function for function in (
        load_reduce, load_build, load_append, load_appends, load_dict, load_setitem, load_setitems, load_additems,
        load_frozenset, load_put, load_string, load_unicode, load_binunicode, load_short_binunicode, load_binunicode8,
        load_frame, load_binbytes, load_binbytes8, load_bytearray8)})
