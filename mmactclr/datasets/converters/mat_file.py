"""Reads one numeric array of a MATLAB 5 ``.mat`` file, in bounded memory.

The format (MathWorks, "MAT-File Format"): a header of 128 bytes, then elements, each a tag (type and length) and its
bytes. A matrix, perhaps compressed, consists of such elements again: flags, dimensions, name and numbers. SciPy reads
more of the format, but damaged files crash its compiled reader, and with it the process.
"""
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from mmactclr.errors import DataError

_HEADER, _TAG = 128, 8
_VERSION_5 = 0x0100
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_NUMBERS = {_INT8: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', _INT32: 'i4', _UINT32: 'u4', 7: 'f4', 9: 'f8', 12: 'i8', 13: 'u8'}
_CLASSES = {1: 'cell', 2: 'struct', 3: 'object', 4: 'char', 5: 'sparse', 6: 'double', 7: 'single', 8: 'int8',
            9: 'uint8', 10: 'int16', 11: 'uint16', 12: 'int32', 13: 'uint32', 14: 'int64', 15: 'uint64',
            16: 'function', 17: 'opaque'}
_FLOATS = {6: 'f8', 7: 'f4'}
_COMPLEX = 1 << 11
# Unpacked; a recording of an hour has a fifth.
_MOST_BYTES = 1 << 28


def read_mat(content: bytes, file: object, name: str) -> np.ndarray:
    """One real floating-point array; everything else in the file is skipped.

    Args:
        content: The whole file.
        file: Its name, for messages.
        name: Variable to read.

    Raises:
        DataError: The file is damaged or of another format, or the variable is missing or no such array.
    """
    order = _byte_order(content, file)
    found = []
    for at, body in _matrices(content, order, file):
        matrix = _Matrix(body, order, f'{file}: .mat element at byte {at}')
        if matrix.name == name:
            return matrix.values()
        found.append(matrix.name)
    raise DataError(f'{file} has no variable {name!r}, only {ascii(found[:5])}: not a .mat file of this data set')


def _byte_order(content: bytes, file: object) -> str:
    order = {b'IM': '<', b'MI': '>'}.get(content[126:_HEADER])
    if order is None:
        raise DataError(f'{file} has not the header of a MATLAB 5 .mat file: damaged or of another format')
    version, = struct.unpack(f'{order}H', content[124:126])
    if version != _VERSION_5:
        raise DataError(f'{file} is a .mat file of version {version:#06x}, expected {_VERSION_5:#06x}: save it in '
                        'MATLAB with -v7')
    return order


def _matrices(content: bytes, order: str, file: object) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of every matrix, uncompressed."""
    at = _HEADER
    while at < len(content):
        place = f'{file}: .mat element at byte {at}'
        kind, body, length = _element(content, at, order, place)
        if kind == _COMPRESSED:
            kind, body, _ = _element(_decompressed(body, place), 0, order, place)
        if kind != _MATRIX:
            raise DataError(f'{place} is of type {kind}, expected a matrix ({_MATRIX})')
        yield at, body
        at += length


def _element(content: bytes, at: int, order: str, place: str) -> tuple[int, bytes, int]:
    """Type and bytes of the element at ``at``, and its length with the tag."""
    if at + _TAG > len(content):
        raise DataError(f'{place} is cut short')
    kind, length = struct.unpack_from(f'{order}II', content, at)
    if kind >> 16:
        # up to four bytes share the tag with their type and length
        kind, length, start, end = kind & 0xffff, kind >> 16, at + 4, at + _TAG
    else:
        start, end = at + _TAG, at + _TAG + length
    if start + length > min(end, len(content)):
        raise DataError(f'{place} is cut short: {length} bytes of type {kind} expected, '
                        f'{max(min(end, len(content)) - start, 0)} found')
    return kind, content[start:start + length], end - at


def _decompressed(body: bytes, place: str) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(body, _MOST_BYTES + 1)
    except zlib.error as error:
        raise DataError(f'{place} is damaged ({error})') from None
    if len(plain) > _MOST_BYTES or not unpacker.eof:
        raise DataError(f'{place} is cut short, or unpacks to more than {_MOST_BYTES} bytes')
    return plain


class _Matrix:
    """Name, class and dimensions of a matrix; its numbers are read when asked for."""

    def __init__(self, body: bytes, order: str, place: str) -> None:
        self._body, self._order, self._place, self._at = body, order, place, 0
        flags = self._numbers((_UINT32,), 'flags')
        if not len(flags):
            raise DataError(f'{place} has no flags: damaged')
        self._flags, self._class = int(flags[0]), int(flags[0]) & 0xff
        self.name, self._shape = '', ()
        # arrays of classes that MATLAB keeps to itself have neither dimensions nor, here, a name
        if _CLASSES.get(self._class) != 'opaque':
            self._shape = tuple(self._numbers((_INT32,), 'dimensions').tolist())
            self.name = self._numbers((_INT8,), 'name').tobytes().decode('ascii', 'replace')

    def _numbers(self, kinds: tuple[int, ...], what: str) -> np.ndarray:
        """The next element of the matrix, of one of these types."""
        kind, data, length = _element(self._body, self._at, self._order, self._place)
        if kind not in kinds or len(data) % np.dtype(_NUMBERS[kind]).itemsize:
            raise DataError(f'{self._place}: {len(data)} bytes of type {kind}, expected its {what}')
        # elements start at multiples of eight bytes
        self._at += -(-length // _TAG) * _TAG
        return np.frombuffer(data, self._order + _NUMBERS[kind])

    def values(self) -> np.ndarray:
        """The array, of the type that it has in MATLAB.

        Raises:
            DataError: It is not real and floating-point, or has not as many numbers as its dimensions say.
        """
        kind = _CLASSES.get(self._class, str(self._class))
        if self._class not in _FLOATS or self._flags & _COMPLEX:
            kind = f'complex {kind}' if self._flags & _COMPLEX else kind
            raise DataError(f'{self._place}: variable {self.name!r} is of class {kind}, expected real double or single')
        # whole numbers are stored in the smallest type that holds them
        values = self._numbers(tuple(_NUMBERS), 'numbers')
        if min(self._shape, default=-1) < 0 or math.prod(self._shape) != len(values):
            raise DataError(f'{self._place}: {len(values)} numbers, expected an array of dimensions {self._shape}')
        return values.astype(_FLOATS[self._class]).reshape(self._shape, order='F')
