"""Biovision hierarchy files (``.bvh``): checked here; kinematics by pybvh, or here for channels that it does not model.

pybvh reads a root that moves and turns and joints that turn about three axes. Motion capture suites, and the files of
Bandai-Namco, also give positions for every joint.
"""
import codecs
import math
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmactclr.errors import ConfigError

from .acclaim import rotation
from .text import fault, parse_numbers, shown

_MOST_DEPTH, _MOST_NODES = 100, 500
_POSITIONS = ('Xposition', 'Yposition', 'Zposition')
_ROTATIONS = ('Xrotation', 'Yrotation', 'Zrotation')
_CHANNELS = {name.lower(): name for name in (*_POSITIONS, *_ROTATIONS)}
_NAME = re.compile(r'[^\s{}]{1,80}')
# Relative distance from a whole number of frames per second within which it is meant, as pybvh has it.
_WHOLE_RATE = 1e-4


@dataclass
class Joint:
    """One joint of a hierarchy.

    Attributes:
        name: As the file has it.
        parent: Position of the parent in the hierarchy, None for the root.
        offset: (3,) from the parent, in the parent's axes.
        channels: What a frame gives for it, in order.
    """

    name: str
    parent: int | None
    offset: np.ndarray
    channels: tuple[str, ...] = ()


def read_bvh(content: bytes, file: object) -> tuple[tuple[str, ...], list[tuple[int, int]], np.ndarray, float]:
    """Joints and their positions.

    Args:
        content: The whole file.
        file: Its name, for messages.

    Returns:
        Names of the joints (ends of chains, which have no name, are left out), (child, parent) pairs, (T, V, 3) float64
        positions in the unit of the file, and frames per second.

    Raises:
        DataError: A line is not what it should be; the message names file and line.
        ConfigError: pybvh is not installed, and the file is one that it reads.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    joints, line, motion, fps = _parse(content, file)
    names = tuple(joint.name for joint in joints)
    if _models(joints) and content.isascii():
        positions = _by_pybvh(content, file, line, names)
    else:
        # what overflows is refused below
        with np.errstate(over='ignore', invalid='ignore'):
            positions = kinematics(joints, motion)
    if positions.shape != (len(motion), len(names), 3) or not np.isfinite(positions).all():
        raise fault(file, line, f'positions of shape {positions.shape}, expected {(len(motion), len(names), 3)}, all '
                    'of them finite')
    edges = [(i, joint.parent) for i, joint in enumerate(joints) if joint.parent is not None]
    return names, edges, positions, fps


def _models(joints: list[Joint]) -> bool:
    """Whether pybvh models these channels: x, y, z of the root and nothing else, three rotations of every joint."""
    for joint in joints:
        moves = tuple(name for name in joint.channels if name in _POSITIONS)
        if moves != (_POSITIONS if joint.parent is None else ()) or len(joint.channels) - len(moves) != 3:
            return False
    return True


def _by_pybvh(content: bytes, file: object, line: int, names: tuple[str, ...]) -> np.ndarray:
    try:
        import pybvh
    except ImportError as error:
        raise ConfigError('BVH files are read by pybvh: pip install pybvh (or mmactclr[convert])') from error
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # what it thinks of the direction of up is of no use here
        warnings.simplefilter('ignore')
        path = Path(folder) / 'motion.bvh'
        path.write_bytes(content)
        try:
            motion = pybvh.Bvh.from_file(path)
            positions, found = np.asarray(motion.joint_positions()), tuple(motion.joint_names)
        except Exception as error:  # whatever a file makes the library do
            reason = ' '.join(str(error).replace(str(path), 'it').split())
            raise fault(file, line, f'pybvh cannot read the file ({type(error).__name__}: {ascii(reason)[:200]})'
                        ) from error
    if found != names:
        raise fault(file, line, f'pybvh finds {len(found)} joints, expected {len(names)}')
    return positions


def kinematics(joints: list[Joint], motion: np.ndarray) -> np.ndarray:
    """Positions of joints of any channels: p = p_parent + R_parent t, R = R_parent R_1 R_2 ... as the channels come.

    t is the offset; a position channel takes the place of its coordinate, as in the files of Bandai-Namco, whose
    channels repeat the offsets.

    Args:
        joints: Parents first.
        motion: (T, channels of all joints) values, degrees.

    Returns:
        (T, V, 3) float64.
    """
    turns: list[np.ndarray] = []
    positions = np.zeros((len(motion), len(joints), 3))
    start = 0
    for i, joint in enumerate(joints):
        values = motion[:, start:start + len(joint.channels)]
        start += len(joint.channels)
        shift = np.tile(joint.offset, (len(motion), 1))
        for axis, name in enumerate(_POSITIONS):
            if name in joint.channels:
                shift[:, axis] = values[:, joint.channels.index(name)]
        turning = [k for k, name in enumerate(joint.channels) if name in _ROTATIONS]
        # turns about a joint's own axes, the first channel outermost: about fixed axes, the last one first
        order = ''.join(joint.channels[k][0].lower() for k in reversed(turning))
        turn = rotation(np.deg2rad(values[:, turning[::-1]]), order)
        if joint.parent is None:
            positions[:, i] = shift
            turns.append(turn)
        else:
            above = turns[joint.parent]
            positions[:, i] = positions[:, joint.parent] + (above @ shift[:, :, None])[..., 0]
            turns.append(above @ turn)
    return positions


def _parse(content: bytes, file: object) -> tuple[list[Joint], int, np.ndarray, float]:
    """Joints, the line of MOTION, (T, channels) values and frames per second; nothing damaged reaches the library."""
    lines = content.splitlines()
    joints: list[Joint] = []
    names: set[str] = set()
    # joints that are open, None for the end of a chain
    stack: list[int | None] = []
    pending: int | None = None
    opened, at = False, 0
    for at, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        key = words[0].upper()
        if key == b'MOTION':
            break
        if key in (b'ROOT', b'JOINT'):
            name = b' '.join(words[1:]).decode('utf-8', 'backslashreplace')
            if not _NAME.fullmatch(name) or name in names or len(joints) >= _MOST_NODES:
                raise fault(file, at, f'a joint of name {ascii(name)[:40]}, expected a new name without blanks')
            if (key == b'ROOT') == bool(stack) or key == b'ROOT' and joints or stack and stack[-1] is None:
                raise fault(file, at, f'{shown(line)}, expected one ROOT, and every JOINT inside another')
            pending, opened = len(joints), True
            joints.append(Joint(name, stack[-1] if stack else None, np.full(3, np.nan)))
            names.add(name)
        elif key == b'END':
            pending, opened = None, True
        elif key == b'{':
            if not opened or len(stack) >= _MOST_DEPTH:
                raise fault(file, at, 'a bracket that no joint opens')
            stack.append(pending)
            opened = False
        elif key == b'}':
            if not stack or opened:
                raise fault(file, at, 'a bracket too many')
            stack.pop()
        elif key in (b'OFFSET', b'CHANNELS'):
            _property_line(file, at, words, joints, stack)
        elif key != b'HIERARCHY':
            raise fault(file, at, f'{shown(line)}, expected a line of a hierarchy')
    else:
        raise fault(file, max(len(lines) - 1, 0), 'the file ends before MOTION')
    without = [joint.name for joint in joints if np.isnan(joint.offset).any()]
    if without:
        raise fault(file, at, f'joint {ascii(without[0])[:40]} has no OFFSET')
    channels = sum(len(joint.channels) for joint in joints)
    if stack or not channels:
        raise fault(file, at, 'MOTION before the hierarchy is closed')
    return joints, at, *_parse_motion(lines, at, channels, file)


def _property_line(file: object, at: int, words: list[bytes], joints: list[Joint], stack: list[int | None]) -> None:
    """Takes OFFSET or CHANNELS of the innermost open joint in."""
    line = b' '.join(words)
    if not stack:
        raise fault(file, at, f'{shown(line)} outside of any joint')
    joint = None if stack[-1] is None else joints[stack[-1]]
    if words[0].upper() == b'OFFSET':
        values = parse_numbers(words[1:])
        if values is None or len(values) != 3:
            raise fault(file, at, f'{shown(line)}, expected OFFSET and three numbers')
        if joint is not None and not np.isnan(joint.offset).all():
            raise fault(file, at, f'{shown(line)}, expected OFFSET once a joint')
        if joint is not None:
            joint.offset = values
        return
    names = [_CHANNELS.get(word.decode('ascii', 'replace').lower()) for word in words[2:]]
    counted = len(words) > 1 and words[1] == b'%d' % len(names)
    if not counted or None in names or len(set(names)) != len(names):
        raise fault(file, at, f'{shown(line)}, expected CHANNELS, their number and names such as Xrotation')
    if joint is None or joint.channels:
        raise fault(file, at, f'{shown(line)}, expected CHANNELS once a joint, and none of an End Site')
    joint.channels = tuple(name for name in names if name is not None)


def _parse_motion(lines: list[bytes], at: int, channels: int, file: object) -> tuple[np.ndarray, float]:
    """(T, channels) values and frames per second of what follows line ``at``."""
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
    if seconds is None or len(seconds) != 1 or not 1e-4 < seconds[0] < 100 or not math.isfinite(1 / seconds[0]):
        raise fault(file, rows[1], f'{shown(lines[rows[1]])}, expected the seconds of a frame')
    frames = []
    for i in rows[2:]:
        values = parse_numbers(lines[i].split())
        if values is None or len(values) != channels:
            raise fault(file, i, f'{shown(lines[i])}, expected {channels} numbers')
        frames.append(values)
    rate = 1 / float(seconds[0])
    # a frame time of six digits stands for a whole rate
    return np.array(frames), float(round(rate)) if abs(rate - round(rate)) < _WHOLE_RATE * rate else rate
