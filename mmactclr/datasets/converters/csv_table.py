"""Reads motion from CSV: a line a frame with columns of joints, or a line a joint."""
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from mmactclr.errors import DataError

from .text import fault, parse_numbers, shown

_JOINT_FIRST = re.compile(r'(?P<joint>.*[^\s_.:\-])[ _.:\-](?P<axis>[xyz])', re.IGNORECASE)
_AXIS_FIRST = re.compile(r'(?P<axis>[xyz])[ _.:\-](?P<joint>[^\s_.:\-].*)', re.IGNORECASE)
_FRAME = ('frame', 'frame_number', 'frame_id', 'time', 'timestamp', 'time_s', 'time_ms', 't')
_PERSON = ('person', 'person_id', 'body', 'body_id', 'track', 'track_id')
_LARGEST = float(np.finfo(np.float32).max)
_MOST_PERSONS = 100
# Places for one joint of one person in one frame, for each that a line fills: beyond it the columns are not what they
# are called, and the recording would fill the memory.
_SPARSE = 200
GAPS = 'numbers of frames are left out, the frames around follow each other'
# Words for a joint that was not seen in a frame.
_UNSEEN = {b'', b'nan', b'NaN', b'NAN', b'NA', b'null', b'None'}


@dataclass(frozen=True)
class Header:
    """What the columns of a CSV mean.

    Attributes:
        joints: Names of the joints in order of appearance; empty in the long form, where a column names the joint.
        axes: Coordinates per joint, 2 or 3.
        columns: (V, C) positions of the coordinates; (1, C) in the long form.
        frame: Position of the frame number or time, None where lines are frames.
        person: Position of the person, None for one person.
        joint: Position of the joint's name in the long form, None otherwise.
        width: Number of columns.
        separator: What separates two cells.
        line: Line of the header, counted from 0.
    """

    joints: tuple[str, ...]
    axes: int
    columns: np.ndarray
    frame: int | None
    person: int | None
    joint: int | None
    width: int
    separator: bytes
    line: int


def split_lines(content: bytes) -> list[bytes]:
    """Lines without a byte order mark."""
    return content.removeprefix(b'\xef\xbb\xbf').splitlines()


def _skipped(line: bytes) -> bool:
    text = line.strip()
    return not text or text.startswith(b'#')


def parse_header(lines: Sequence[bytes], file: object) -> Header:
    """Finds out what the columns mean.

    Raises:
        DataError: The first line that is no comment does not name coordinates of joints; the message says what it has.
    """
    at = next((i for i, line in enumerate(lines) if not _skipped(line)), None)
    if at is None:
        raise fault(file, 0, 'the file is empty, expected a header such as frame,hip_x,hip_y,hip_z,...')
    separator = max((b',', b';', b'\t'), key=lines[at].count)
    try:
        cells = [cell.strip().strip('"').strip() for cell in lines[at].decode().split(separator.decode())]
    except UnicodeDecodeError:
        raise fault(file, at, f'{shown(lines[at])} is not UTF-8, expected a header with names of joints') from None
    lower = [cell.lower() for cell in cells]
    frame = next((lower.index(name) for name in _FRAME if name in lower), None)
    person = next((lower.index(name) for name in _PERSON if name in lower), None)
    common: dict[str, Any] = dict(frame=frame, person=person, width=len(cells), separator=separator, line=at)
    if 'joint' in lower and {'x', 'y'} <= set(lower):
        axes = 3 if 'z' in lower else 2
        if frame is None:
            raise fault(file, at, 'a line a joint needs a column "frame"')
        return Header((), axes, np.array([[lower.index(axis) for axis in 'xyz'[:axes]]]), joint=lower.index('joint'),
                      **common)
    found: dict[str, dict[str, int]] = {}
    for i, cell in enumerate(cells):
        match = _JOINT_FIRST.fullmatch(cell) or _AXIS_FIRST.fullmatch(cell)
        if match and i not in (frame, person):
            axis = found.setdefault(match['joint'].strip(), {})
            if axis.setdefault(match['axis'].lower(), i) != i:
                raise fault(file, at, f'column {ascii(cell[:40])} appears twice')
    if not found:
        raise fault(file, at, f'{shown(lines[at])}, expected a header with columns such as hip_x, hip_y, hip_z')
    axes = 3 if any('z' in axis for axis in found.values()) else 2
    for name, axis in found.items():
        missing = [letter for letter in 'xyz'[:axes] if letter not in axis]
        if missing:
            raise fault(file, at, f'joint {ascii(name[:40])} has no column {ascii(name[:40] + "_" + missing[0])}')
    columns = np.array([[axis[letter] for letter in 'xyz'[:axes]] for axis in found.values()])
    return Header(tuple(found), axes, columns, joint=None, **common)


def read_motion(content: bytes, file: object) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """Joints and coordinates of a recording.

    Joints of which a cell is empty or ``nan`` were not seen; they are zero in the result. Lines that start with
    ``#`` are comments.

    Args:
        content: The whole file; cells are separated by comma, semicolon or tab, with semicolons a comma may be the
            decimal point.
        file: Its name, for messages.

    Returns:
        Names of the joints, (M, T, V, C) float32, and what should be known of the recording.

    Raises:
        DataError: The file is damaged; the message names the line.
    """
    lines = split_lines(content)
    header = parse_header(lines, file)
    numbers = [i for i in range(header.line + 1, len(lines)) if not _skipped(lines[i])]
    if not numbers:
        raise fault(file, header.line, 'nothing follows the header, expected a line a frame')
    rows = [lines[i] for i in numbers]
    if header.separator == b';':
        rows = [row.replace(b',', b'.') for row in rows]
    cells, words = _parse_rows(rows, numbers, header, file)
    frames = cells[:, header.frame] if header.frame is not None else np.arange(len(rows))
    persons = words[header.person] if header.person is not None else [b''] * len(rows)
    place = {name: m for m, name in enumerate(dict.fromkeys(persons))}
    if len(place) > _MOST_PERSONS:
        raise fault(file, numbers[0], f'{len(place)} persons, expected at most {_MOST_PERSONS}')
    times, t = np.unique(frames, return_inverse=True)
    m = np.array([place[name] for name in persons])
    if header.joint is None:
        joints = header.joints
        where: tuple[np.ndarray, ...] = m, t
        shape: tuple[int, ...] = len(place), len(times)
    else:
        spelt = {word: _decoded(word) for word in words[header.joint]}
        position = {name: i for i, name in enumerate(dict.fromkeys(spelt.values()))}
        joints = tuple(position)
        where = m, t, np.array([position[spelt[word]] for word in words[header.joint]])
        shape = len(place), len(times), len(joints)
    if math.prod(shape) > _SPARSE * len(rows):
        raise fault(file, header.line, f'{len(rows)} lines of {len(place)} persons, {len(times)} frames and '
                    f'{len(joints)} joints, expected a line for at least one in {_SPARSE}')
    flat = np.ravel_multi_index(where, shape)
    order = np.argsort(flat, kind='stable')
    twice = np.flatnonzero(np.diff(flat[order]) == 0)
    if len(twice):
        raise fault(file, numbers[order[twice[0] + 1]], 'the same frame, person and joint was there before')
    points = cells[:, header.columns]
    # a joint of which a part is missing was not seen: with a zero for the part it would be somewhere else
    points[np.isnan(points).any(-1)] = 0
    keypoint = np.zeros((len(place), len(times), len(joints), header.axes), np.float32)
    keypoint[where] = points if header.joint is None else points[:, 0]
    steps = np.diff(times)
    whole = header.frame is not None and (times == np.floor(times)).all()
    return joints, keypoint, (GAPS,) if whole and len(steps) and steps.max() > steps.min() else ()


def _decoded(word: bytes) -> str:
    return word.decode('utf-8', 'backslashreplace').strip('"').strip()


def _parse_rows(rows: list[bytes], numbers: list[int], header: Header,
                file: object) -> tuple[np.ndarray, dict[int, list[bytes]]]:
    """(lines, width) numbers, NaN where nothing was seen, zero where a cell is text, and the columns of text."""
    text = [i for i in (header.person, header.joint) if i is not None]
    wanted = sorted({*header.columns.ravel().tolist(), *([header.frame] if header.frame is not None else [])})
    if not text and len(wanted) == header.width:
        # nothing but numbers, the usual file: one call that parses in C
        tokens = b' '.join(row.replace(header.separator, b' ') for row in rows).split()
        if len(tokens) == header.width * len(rows) and all(
                row.count(header.separator) == header.width - 1 and not _has_empty_cell(row, header.separator)
                for row in rows):
            values = parse_numbers(tokens)
            if values is not None and np.abs(values).max() <= _LARGEST:
                return values.reshape(len(rows), -1), {}
    table = [row.split(header.separator) for row in rows]
    for number, row in zip(numbers, table, strict=True):
        if len(row) != header.width:
            raise fault(file, number, f'{len(row)} cells, the header has {header.width}')
    cells = np.zeros((len(rows), header.width))
    tokens = list(chain.from_iterable(map(itemgetter(*wanted), table)))
    cells[:, wanted] = _numbers(tokens, numbers, wanted, header, file)
    return cells, {i: [row[i].strip().strip(b'"').strip() for row in table] for i in text}


def _numbers(tokens: list[bytes], numbers: list[int], wanted: list[int], header: Header, file: object) -> np.ndarray:
    """(lines, columns) numbers of the cells of some columns, NaN where nothing was seen."""
    joined = b''.join(tokens)
    if b'"' in joined or joined.split() != [joined]:
        tokens = [token.strip().strip(b'"').strip() for token in tokens]
    unseen = np.zeros((len(numbers), len(wanted)), dtype=bool)
    if not _UNSEEN.isdisjoint(tokens):
        unseen = np.reshape([token in _UNSEEN for token in tokens], unseen.shape)
        if header.frame is not None:
            unseen[:, wanted.index(header.frame)] = False
        tokens = [b'0' if gap else token for token, gap in zip(tokens, unseen.ravel(), strict=True)]
    # a cell of two numbers must not make up for an empty one
    values = parse_numbers(tokens) if b'' not in tokens else None
    if values is None or np.abs(values).max() > _LARGEST:
        raise _wrong_cell(file, numbers, tokens, wanted)
    return np.where(unseen, np.nan, values.reshape(unseen.shape))


def _has_empty_cell(row: bytes, separator: bytes) -> bool:
    row = row.replace(b' ', b'')
    return separator * 2 in row or row.startswith(separator) or row.endswith(separator)


def _wrong_cell(file: object, numbers: list[int], tokens: list[bytes], columns: list[int]) -> DataError:
    """The first cell that holds no number that float32 can hold."""
    for i, token in enumerate(tokens):
        value = parse_numbers([token])
        if value is None or len(value) != 1 or abs(value[0]) > _LARGEST:
            row, column = divmod(i, len(columns))
            return fault(file, numbers[row], f'column {columns[column] + 1}: {shown(token)}, expected a number, or '
                         'nothing where the joint was not seen')
    return fault(file, numbers[0], 'not all cells are numbers')
