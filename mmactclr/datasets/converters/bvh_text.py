"""Biovision hierarchy files (``.bvh``) as text: joints with their channels, and a line of numbers a frame."""
import re
from dataclasses import dataclass, field

import numpy as np

from .text import fault, parse_numbers, shown

_MOST_DEPTH, _MOST_NODES = 100, 500
_CHANNELS = {f'{axis}{kind}' for axis in 'xyz' for kind in ('position', 'rotation')}
_NAME = re.compile(r'[^\s{}]{1,80}')
_FEWEST_SECONDS, _MOST_SECONDS = 1e-4, 100


@dataclass
class BVHJoint:
    """One joint of a hierarchy.

    Attributes:
        name: As the file has it.
        parent: Position of the joint that it hangs on, None for the root.
        offset: (3,) from there, None until its line was read.
        channels: What a frame gives for it, in order and in lower case, such as ``zrotation``; None until read.
        line: Where it is in the file.
    """

    name: str
    parent: int | None
    offset: np.ndarray | None = None
    channels: tuple[str, ...] | None = None
    line: int = 0


@dataclass(frozen=True)
class BVHMotion:
    """What a file says.

    Attributes:
        joints: Parents first; the ends of chains, which have no name, are left out.
        values: (T, number of channels) float64.
        fps: Frames per second.
        line: Line of MOTION, counted from 0.
    """

    joints: list[BVHJoint]
    values: np.ndarray
    fps: float
    line: int


@dataclass
class _State:
    """Where in the hierarchy a line is: joints so far, the open brackets (None: an end), what opens the next one."""

    joints: list[BVHJoint] = field(default_factory=list)
    stack: list[int | None] = field(default_factory=list)
    pending: int | None = None
    opened: bool = False


def decode(content: bytes) -> str | None:
    """Text without a byte order mark, None if it is not UTF-8."""
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError:
        return None


def parse_bvh(content: bytes, file: object) -> BVHMotion:
    """Parses a file.

    Raises:
        DataError: A line is not what it should be; the message names file and line.
    """
    lines = content.removeprefix(b'\xef\xbb\xbf').splitlines()
    state = _State()
    for at, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        if words[0].upper() == b'MOTION':
            break
        _hierarchy_line(state, at, line, words, file)
    else:
        raise fault(file, max(len(lines) - 1, 0), 'the file ends before MOTION')
    if state.stack or not state.joints:
        raise fault(file, at, 'MOTION before the hierarchy is closed')
    for joint in state.joints:
        if joint.offset is None:
            raise fault(file, joint.line, f'joint {ascii(joint.name)[:40]} has no OFFSET')
    width = sum(len(joint.channels or ()) for joint in state.joints)
    if not width:
        raise fault(file, at, 'no joint has CHANNELS')
    values, fps = _read_motion(lines, at, width, file)
    return BVHMotion(state.joints, values, fps, at)


def _hierarchy_line(state: _State, at: int, line: bytes, words: list[bytes], file: object) -> None:
    key = words[0].upper()
    if key in (b'ROOT', b'JOINT'):
        _open_joint(state, at, line, words, file)
    elif key == b'END':
        if state.opened or not state.stack or state.stack[-1] is None:
            raise fault(file, at, f'{shown(line)}, expected the end of a chain inside a joint')
        state.pending, state.opened = None, True
    elif key == b'{':
        if not state.opened or len(state.stack) >= _MOST_DEPTH:
            raise fault(file, at, 'a bracket that no joint opens')
        state.stack.append(state.pending)
        state.opened = False
    elif key == b'}':
        if not state.stack or state.opened:
            raise fault(file, at, 'a bracket too many')
        state.stack.pop()
    elif key in (b'OFFSET', b'CHANNELS'):
        if state.opened or not state.stack:
            raise fault(file, at, f'{shown(line)}, expected a line of a joint')
        here = state.stack[-1]
        _joint_line(state.joints[here] if here is not None else None, key, at, line, words, file)
    elif key != b'HIERARCHY':
        raise fault(file, at, f'{shown(line)}, expected a line of a hierarchy')


def _open_joint(state: _State, at: int, line: bytes, words: list[bytes], file: object) -> None:
    name = b' '.join(words[1:]).decode('utf-8', 'backslashreplace')
    known = {joint.name for joint in state.joints}
    if not _NAME.fullmatch(name) or name in known or len(known) >= _MOST_NODES:
        raise fault(file, at, f'a joint of name {ascii(name)[:40]}, expected a new name without blanks')
    is_root = words[0].upper() == b'ROOT'
    if state.opened or is_root == bool(state.joints) or not is_root and (not state.stack or state.stack[-1] is None):
        raise fault(file, at, f'{shown(line)}, expected one ROOT, and every JOINT inside another')
    state.joints.append(BVHJoint(name, None if is_root else state.stack[-1], line=at))
    state.pending, state.opened = len(state.joints) - 1, True


def _joint_line(joint: BVHJoint | None, key: bytes, at: int, line: bytes, words: list[bytes], file: object) -> None:
    """OFFSET or CHANNELS of a joint, or of the end of a chain (None), where only the form matters."""
    if key == b'OFFSET':
        offset = parse_numbers(words[1:])
        if offset is None or len(offset) != 3 or joint is not None and joint.offset is not None:
            raise fault(file, at, f'{shown(line)}, expected OFFSET and three numbers, once a joint')
        if joint is not None:
            joint.offset = offset
        return
    channels = tuple(word.decode('ascii', 'replace').lower() for word in words[2:])
    counted = len(words) > 1 and words[1] == b'%d' % len(channels)
    if not counted or set(channels) - _CHANNELS or len(set(channels)) != len(channels):
        raise fault(file, at, f'{shown(line)}, expected CHANNELS, their number and names such as Xrotation')
    if joint is None or joint.channels is not None:
        raise fault(file, at, f'{shown(line)}, expected CHANNELS once a joint')
    joint.channels = channels


def _read_motion(lines: list[bytes], at: int, width: int, file: object) -> tuple[np.ndarray, float]:
    rows = [i for i in range(at + 1, len(lines)) if lines[i].strip()]
    if len(rows) < 3:
        raise fault(file, len(lines) - 1, 'the file ends before the first frame')
    heads = []
    for i, word in zip(rows[:2], (b'FRAMES:', b'FRAME TIME:'), strict=True):
        text = b' '.join(lines[i].split())
        if not text.upper().startswith(word):
            raise fault(file, i, f'{shown(lines[i])}, expected {word.decode().capitalize()}')
        heads.append(text[len(word):])
    if heads[0].strip() != b'%d' % (len(rows) - 2):
        raise fault(file, rows[0], f'{shown(lines[rows[0]])}, but {len(rows) - 2} lines of motion follow')
    seconds = parse_numbers(heads[1].split())
    if seconds is None or len(seconds) != 1 or not _FEWEST_SECONDS < seconds[0] < _MOST_SECONDS:
        raise fault(file, rows[1], f'{shown(lines[rows[1]])}, expected the seconds of a frame')
    frames = []
    for i in rows[2:]:
        values = parse_numbers(lines[i].split())
        if values is None or len(values) != width:
            raise fault(file, i, f'{shown(lines[i])}, expected {width} numbers')
        frames.append(values)
    return np.stack(frames), float(1 / seconds[0])
