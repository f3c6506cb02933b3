"""Stand-ins for what numpy's pickles call: they note what the file says and make a value once all of it was checked."""
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

# Deeper than any annotation; also what stops a value that contains itself.
_DEEPEST = 50
_MOST_AXES, _LONGEST_AXIS = 32, 2 ** 40
# Booleans, numbers, bytes and text; no objects, records, dates.
_DTYPE = re.compile(r'[<>|=]?((?:b1|\?)|[iu][1248]|f[248]|[SU][1-9]\d{0,6})')
_KEYS = (str, bytes, int, float, bool, type(None))
# Larger whole numbers can be chosen so that all of them hash alike: a dict of many then takes minutes.
_MOST_KEY = 2 ** 64
_ATOMS = (*_KEYS, bytearray, set, frozenset)
# Long ones are views of the file.
_BYTES = (bytes, bytearray, memoryview)


class Refused(Exception):
    """The pickle holds something that is not read; the text says what."""


def plain_key(value: Any) -> Any:
    """The value, if it may be a key or a member of a set: hashing others takes as long as the author of a file wants.

    Raises:
        Refused: It is no text, bytes or number.
    """
    if type(value) not in _KEYS and not isinstance(value, np.generic):
        raise Refused(f'a key or member of a set of type {type(value).__name__!r}')
    if type(value) is int and abs(value) > _MOST_KEY:
        raise Refused('a key or member of a set that is a number of more than 64 bits')
    return value


class Call:
    """What stands in for a function; it can neither be changed nor end up in the outcome."""

    __slots__ = ('_name', '_function')
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, function: Callable) -> None:
        self._name, self._function = name, function

    def __repr__(self) -> str:
        return self._name

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class PickledDtype:
    """Arguments and state of ``numpy.dtype``."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: Any, *flags: Any) -> None:
        if type(text) is not str or len(flags) > 2 or not all(type(flag) in (bool, int) for flag in flags):
            raise Refused('a call of numpy.dtype with other than a name')
        if not _DTYPE.fullmatch(text):
            raise Refused(f'an array or scalar of dtype {text[:20]!a}')
        self.dtype = np.dtype(text)

    def set_state(self, state: Any) -> None:
        """Takes the byte order; the rest of the state belongs to records."""
        if (type(state) is not tuple or not 8 <= len(state) <= 9 or state[0] not in (3, 4)
                or state[1] not in ('<', '>', '|', '=') or any(part is not None for part in state[2:5])):
            raise Refused(f'a state of numpy.dtype {str(self.dtype)!r} that is not its byte order')
        if state[1] in '<>':
            self.dtype = self.dtype.newbyteorder(state[1])

    def finish(self) -> np.dtype:
        """The dtype."""
        return self.dtype


class PickledArray:
    """Shape, dtype and bytes of an array; the three come late, or not at all, in a crafted file."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self._array: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """Takes what ``ndarray.__reduce__`` wrote: version, shape, dtype, whether in Fortran order, bytes."""
        if type(state) is not tuple or len(state) != 5:
            raise Refused('an array without shape, dtype and bytes')
        self.fill(state[4], state[2], state[1], 'F' if state[3] else 'C')

    def fill(self, data: Any, dtype: Any, shape: Any, order: str) -> None:
        """Makes the array, a view of ``data``, which must have the very size that dtype and shape ask for."""
        if type(dtype) is not PickledDtype:
            raise Refused('an array without a dtype')
        if (type(shape) is not tuple or len(shape) > _MOST_AXES
                or not all(type(axis) is int and 0 <= axis < _LONGEST_AXIS for axis in shape)):
            raise Refused('an array whose shape is not a few counts')
        kind, data, wanted = dtype.finish(), _as_bytes(data), 1
        for axis in shape:
            wanted *= axis
        if len(data) != wanted * kind.itemsize:
            raise Refused(f'an array of {len(data)} bytes that says it is {kind} {shape}')
        array = np.ndarray(shape, kind, buffer=memoryview(data).toreadonly(), order='F' if order == 'F' else 'C')
        if kind.kind == 'U' and (np.frombuffer(data, kind.str[0] + 'u4') > sys.maxunicode).any():
            raise Refused('an array of text with characters that do not exist')
        self._array = array

    def finish(self) -> np.ndarray:
        """The array, read-only.

        Raises:
            Refused: The file never said what is in it.
        """
        if self._array is None:
            raise Refused('an array without shape, dtype and bytes')
        return self._array


def _as_bytes(data: Any) -> Any:
    if type(data) is str:  # as Python 2 wrote them
        data = data.encode('latin1')
    if type(data) not in _BYTES:
        raise Refused(f'an array whose content is a {type(data).__name__}')
    return data


def _reconstruct(kind: Any, *_: Any) -> PickledArray:
    # the shape given here is that of an empty array, and not believed
    if kind is not _NDARRAY:
        raise Refused('an array of a class of its own')
    return PickledArray()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    if order not in ('C', 'F'):
        raise Refused('an array in no known order')
    array = PickledArray()
    array.fill(data, dtype, shape, order)
    return array


def _scalar(dtype: Any, data: Any) -> Any:
    array = PickledArray()
    array.fill(data, dtype, (), 'C')
    return array.finish()[()]


def _encode(text: Any, encoding: Any = 'latin1') -> bytes:
    if type(text) is not str or encoding not in ('latin1', 'latin-1'):
        raise Refused('a call of _codecs.encode with other than text and latin1')
    return text.encode('latin1')


def _bytes(kind: type) -> Callable:
    def make(data: Any = b'', *encoding: Any) -> bytes | bytearray:
        if type(data) is str:
            data = _encode(data, *encoding)
        # never a number, which would be a count of zeros
        if type(data) not in _BYTES:
            raise Refused(f'a call of {kind.__name__} with other than bytes')
        return kind(data)

    return make


def _members(kind: type) -> Callable:
    def make(values: Any = ()) -> set | frozenset:
        if type(values) not in (list, tuple):
            raise Refused(f'a call of {kind.__name__} with other than a list')
        return kind(map(plain_key, values))

    return make


def _ordered(*arguments: Any) -> dict:
    if arguments:
        raise Refused('a call of OrderedDict with items')
    return {}


def _no_call(*_: Any) -> Any:
    raise Refused('a call of numpy.ndarray')


def _names(modules: Iterable[str], name: str, call: Call) -> dict[tuple[str, str], Call]:
    return {(module, name): call for module in modules}


_NDARRAY = Call('numpy.ndarray', _no_call)
_CORES = ('numpy.core', 'numpy._core')
_BUILTINS = ('builtins', '__builtin__')
#: (module, name) to the stand-in; everything else is refused.
CALLS: dict[tuple[str, str], Call] = {
    ('numpy', 'ndarray'): _NDARRAY,
    ('numpy', 'dtype'): Call('numpy.dtype', PickledDtype),
    ('_codecs', 'encode'): Call('_codecs.encode', _encode),
    ('collections', 'OrderedDict'): Call('collections.OrderedDict', _ordered),
    **_names([f'{core}.multiarray' for core in _CORES], '_reconstruct', Call('numpy._reconstruct', _reconstruct)),
    **_names([f'{core}.multiarray' for core in _CORES], 'scalar', Call('numpy.scalar', _scalar)),
    **_names([f'{core}.numeric' for core in _CORES], '_frombuffer', Call('numpy._frombuffer', _frombuffer)),
    **_names(_BUILTINS, 'bytes', Call('bytes', _bytes(bytes))),
    **_names(_BUILTINS, 'bytearray', Call('bytearray', _bytes(bytearray))),
    **_names(_BUILTINS, 'set', Call('set', _members(set))),
    **_names(_BUILTINS, 'frozenset', Call('frozenset', _members(frozenset))),
}


def finished(value: Any) -> Any:
    """The value with arrays and dtypes in place of their stand-ins.

    Raises:
        Refused: A stand-in of a function is left in it, an array was never filled, or it is nested too deep.
    """
    return _finished(value, {}, 0)


def _finished(value: Any, done: dict[int, tuple[Any, Any]], depth: int) -> Any:
    """Lists and dicts are changed in place, each once however often it is found; ``done`` also keeps ids in use."""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, np.generic):
        return value
    if kind is memoryview:
        return bytes(value)
    if kind in (PickledArray, PickledDtype):
        return value.finish()
    if kind not in (list, tuple, dict):
        raise Refused(f'{value!r} as a value')
    if id(value) in done:
        return done[id(value)][1]
    if depth > _DEEPEST:
        raise Refused(f'values nested deeper than {_DEEPEST}')
    if kind is not tuple:
        done[id(value)] = (value, value)
    if kind is dict:
        for key, item in value.items():
            value[key] = _finished(item, done, depth + 1)
        return value
    items = [_finished(item, done, depth + 1) for item in value]
    if kind is list:
        value[:] = items
        return value
    done[id(value)] = (value, tuple(items))
    return done[id(value)][1]
