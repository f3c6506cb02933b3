"""Reader of the ``.skeleton`` text files of NTU RGB+D.

A file is a number of frames, and a frame::

    number of bodies                       0 or more lines follow
        tracking id and nine other fields  of one body
        25                                 number of joints
        x y z and nine other fields        of one joint, metres, camera coordinates, y up

Only ids and positions are read: the rest takes most of the time of a reader that parses it.
"""
from dataclasses import dataclass

import numpy as np

from mmactclr.errors import DataError

from .text import fault, parse_numbers, read_count, shown

NUM_JOINTS = 25
# A Kinect v2 tracks six bodies; more is no recording of one.
_MOST_BODIES = 10
# How the numbers of bodies look nearly always.
_COUNTS = {b'%d' % count: count for count in range(_MOST_BODIES + 1)}
# Ten hours at 30 frames per second.
_MOST_FRAMES = 1_080_000
# Id, joints and positions of one body.
_BODY_LINES = 2 + NUM_JOINTS

FEWER_FRAMES = 'fewer frames than the header says, kept up to the last whole one'
MORE_LINES = 'more lines than the header says, ignored after the last frame'


@dataclass(frozen=True)
class Observations:
    """What a file holds: R times a body in a frame, in the order of the file.

    Attributes:
        joints: (R, 25, 3) float32 metres.
        frame: (R,) frame.
        slot: (R,) position among the bodies of the frame.
        body: (R,) running number of the tracking id, by first appearance.
        num_frames: Frames of the recording, those without a body included.
        notes: What was mended.
    """

    joints: np.ndarray
    frame: np.ndarray
    slot: np.ndarray
    body: np.ndarray
    num_frames: int
    notes: tuple[str, ...] = ()


class _Cut(Exception):
    """The file ends within a frame."""


def parse_skeleton(content: bytes, file: object = 'file') -> Observations:
    """Parses one file; line ends may be LF, CRLF or CR.

    A file that ends early is taken up to its last whole frame.

    Args:
        content: The whole file.
        file: Its name, for messages.

    Raises:
        DataError: A line is not what it should be, or not one frame is whole; the message names file and line.
    """
    lines = content.splitlines()
    complete = content.endswith((b'\n', b'\r'))
    while lines and not lines[-1].strip():
        lines.pop()
        complete = True
    if not lines:
        raise DataError(f'{file}, line 1: the file is empty, expected a number of frames')
    promised = read_count(file, lines, 0, 'the number of frames', _MOST_FRAMES)
    ids: dict[bytes, int] = {}
    rows: list[int] = []
    found: list[tuple[int, int, int]] = []
    at, frames = 1, 0
    try:
        for frame in range(promised):
            at, bodies = _frame(file, lines, at)
            for slot, (name, row) in enumerate(bodies):
                found.append((frame, slot, ids.setdefault(name, len(ids))))
                rows.append(row)
            frames += 1
    except _Cut:
        pass
    joints, whole = _positions(file, lines, rows, complete)
    notes = []
    if whole < len(rows):
        # the last line is cut: with it goes its frame
        frames = found[whole][0]
        found = [entry for entry in found if entry[0] < frames]
        joints = joints[:len(found)]
    if frames < promised:
        if not frames:
            raise fault(file, len(lines) - 1, f'the file ends before the first of {promised} frames is whole')
        notes.append(FEWER_FRAMES)
    elif any(line.strip() for line in lines[at:]):
        notes.append(MORE_LINES)
    frame, slot, body = np.array(found, dtype=np.int64).reshape(-1, 3).T
    return Observations(joints, frame, slot, body, frames, tuple(notes))


def _frame(file: object, lines: list[bytes], at: int) -> tuple[int, list[tuple[bytes, int]]]:
    """Position after the frame at ``at``, and tracking id and first joint line of its bodies."""
    if at >= len(lines):
        raise _Cut
    count = _COUNTS.get(lines[at])
    if count is None:
        count = read_count(file, lines, at, 'the number of bodies', _MOST_BODIES)
    at += 1
    bodies = []
    for _ in range(count):
        if at + 1 >= len(lines):
            raise _Cut
        name = lines[at].split(None, 1)
        if not name:
            raise fault(file, at, 'an empty line, expected the tracking id of a body')
        if at + 2 == len(lines):
            raise _Cut
        if lines[at + 1] != b'25' and lines[at + 1].strip() != b'25':
            raise fault(file, at + 1, f'{shown(lines[at + 1])}, expected {NUM_JOINTS}, the number of joints')
        if at + _BODY_LINES > len(lines):
            raise _Cut
        bodies.append((name[0], at + 2))
        at += _BODY_LINES
    return at, bodies


def _positions(file: object, lines: list[bytes], rows: list[int], complete: bool) -> tuple[np.ndarray, int]:
    """(R, 25, 3) positions of the bodies that start at these lines, and how many of them are whole."""
    tokens: list[bytes] = []
    for row in rows:
        for line in lines[row:row + NUM_JOINTS]:
            tokens += line.split(None, 3)
    whole = len(rows)
    if rows and rows[-1] + NUM_JOINTS == len(lines) and not complete:
        if len(lines[-1].split()) < len(lines[rows[0]].split()):
            whole -= 1
    # four tokens a line, the last of them the rest of the line: cheaper than to cut every line
    regular = len(tokens) == 4 * NUM_JOINTS * len(rows)
    del tokens[3::4]
    numbers = parse_numbers(tokens) if regular else None
    if numbers is None:
        tokens = [token for row in rows[:whole] for line in lines[row:row + NUM_JOINTS] for token in _three(line)]
        numbers = parse_numbers(tokens)
        if numbers is None or len(numbers) != 3 * NUM_JOINTS * whole:
            raise _wrong_position(file, lines, rows[:whole])
        numbers = np.concatenate([numbers, np.zeros(3 * NUM_JOINTS * (len(rows) - whole))])
    with np.errstate(over='ignore'):
        joints = numbers.astype(np.float32).reshape(-1, NUM_JOINTS, 3)
    if not np.isfinite(joints).all():
        raise _wrong_position(file, lines, rows)
    return joints, whole


def _three(line: bytes) -> list[bytes]:
    return line.split(None, 3)[:3]


def _wrong_position(file: object, lines: list[bytes], rows: list[int]) -> DataError:
    """The first line that does not start with three numbers that float32 can hold."""
    for row in rows:
        for i in range(row, row + NUM_JOINTS):
            numbers = parse_numbers(_three(lines[i]))
            if numbers is None or len(numbers) != 3 or np.abs(numbers).max() > np.finfo(np.float32).max:
                return fault(file, i, f'{shown(lines[i])}, expected a joint: x y z in metres and nine more fields')
    raise AssertionError('no line is wrong')
