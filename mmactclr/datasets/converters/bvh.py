"""Biovision hierarchy files (``.bvh``): checked here, read by pybvh."""
import math
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np

from mmactclr.errors import ConfigError

from .text import fault, parse_numbers, shown

_MOST_DEPTH, _MOST_NODES = 100, 500
_CHANNELS = {f'{axis}{kind}' for axis in 'XYZ' for kind in ('position', 'rotation')}
_NAME = re.compile(r'[^\s{}]{1,80}')


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
        ConfigError: pybvh is not installed.
    """
    try:
        import pybvh
    except ImportError as error:
        raise ConfigError('BVH files are read by pybvh: pip install pybvh (or mmactclr[convert])') from error
    parents, line = _check(content, file)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # what it thinks of the direction of up is of no use here
        warnings.simplefilter('ignore')
        path = Path(folder) / 'motion.bvh'
        path.write_bytes(content)
        try:
            motion = pybvh.Bvh.from_file(path)
            positions, names = np.asarray(motion.joint_positions()), tuple(motion.joint_names)
        except Exception as error:  # whatever a file makes the library do
            raise fault(file, line, f'pybvh cannot read the file ({type(error).__name__}: '
                        f'{ascii(" ".join(str(error).split()))[:120]})') from error
        fps = float(motion.fps)
    if names != tuple(parents) or positions.shape[1:] != (len(names), 3) or not np.isfinite(positions).all():
        raise fault(file, line, f'pybvh finds {len(names)} joints, {len(parents)} were expected, or positions that are '
                    'not finite')
    place = {name: i for i, name in enumerate(names)}
    edges = [(place[name], place[parent]) for name, parent in parents.items() if parent is not None]
    return names, edges, positions, fps


def _check(content: bytes, file: object) -> tuple[dict[str, str | None], int]:
    """Names of the joints with their parents, and the line of MOTION; what is damaged never reaches the library."""
    lines = content.splitlines()
    parents: dict[str, str | None] = {}
    stack: list[str | None] = []
    pending: str | None = None
    opened, channels, at = False, 0, 0
    for at, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        key = words[0].upper()
        if key == b'MOTION':
            break
        if key in (b'ROOT', b'JOINT'):
            name = b' '.join(words[1:]).decode('utf-8', 'backslashreplace')
            parent = next((node for node in reversed(stack) if node is not None), None)
            if not _NAME.fullmatch(name) or name in parents or len(parents) >= _MOST_NODES:
                raise fault(file, at, f'a joint of name {ascii(name)[:40]}, expected a new name without blanks')
            if (key == b'ROOT') == bool(stack) or key == b'ROOT' and parents:
                raise fault(file, at, f'{shown(line)}, expected one ROOT, and every JOINT inside another')
            parents[name], pending, opened = parent, name, True
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
        elif key == b'OFFSET':
            values = parse_numbers(words[1:])
            if values is None or len(values) != 3:
                raise fault(file, at, f'{shown(line)}, expected OFFSET and three numbers')
        elif key == b'CHANNELS':
            names = [word.decode('ascii', 'replace') for word in words[2:]]
            counted = len(words) > 1 and words[1] == b'%d' % len(names)
            if not counted or set(names) - _CHANNELS or len(set(names)) != len(names):
                raise fault(file, at, f'{shown(line)}, expected CHANNELS, their number and names such as Xrotation')
            channels += len(names)
        elif key != b'HIERARCHY':
            raise fault(file, at, f'{shown(line)}, expected a line of a hierarchy')
    else:
        raise fault(file, max(len(lines) - 1, 0), 'the file ends before MOTION')
    if stack or not parents or not channels:
        raise fault(file, at, 'MOTION before the hierarchy is closed')
    _check_motion(lines, at, channels, file)
    return parents, at


def _check_motion(lines: list[bytes], at: int, channels: int, file: object) -> None:
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
    for i in rows[2:]:
        values = parse_numbers(lines[i].split())
        if values is None or len(values) != channels:
            raise fault(file, i, f'{shown(lines[i])}, expected {channels} numbers')
