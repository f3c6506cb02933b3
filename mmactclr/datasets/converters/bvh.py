"""Joint positions from Biovision hierarchy files (``.bvh``)."""
import tempfile
import warnings
from pathlib import Path

import numpy as np

from mmactclr.errors import ConfigError

from .acclaim import rotation
from .bvh_text import BVHMotion, decode, parse_bvh
from .text import fault

_ROOT_POSITIONS = ('xposition', 'yposition', 'zposition')


def read_bvh(content: bytes, file: object) -> tuple[tuple[str, ...], list[tuple[int, int]], np.ndarray, float]:
    """Joints and their positions.

    The whole text is checked first, so that what is damaged is named with its line and never reaches the library.
    pybvh then computes the positions, where it can: it has positions for the root alone, and three angles for every
    joint. Files of other channels, as those of Bandai-Namco with six for every joint, take :func:`joint_positions`.

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
    motion = parse_bvh(content, file)
    text = decode(content)
    if text is not None and _is_plain(motion):
        positions = _positions_of_library(text, motion, file)
    else:
        positions = joint_positions(motion)
    if not np.isfinite(positions).all():
        raise fault(file, motion.line, 'the motion leads to positions that are not finite')
    edges = [(i, joint.parent) for i, joint in enumerate(motion.joints) if joint.parent is not None]
    return tuple(joint.name for joint in motion.joints), edges, positions, motion.fps


def joint_positions(motion: BVHMotion) -> np.ndarray:
    """(T, V, 3) float64 positions of the joints in the unit of the file.

    A joint is at p_parent + R_parent t, where t is its offset, and turned by R = R_parent R_1 R_2 R_3, its rotations in
    the order of the channels. Position channels stand in place of the offset: files that have them for all joints
    repeat the offset there. A joint whose position channels are zero throughout keeps its offset: no bone is without
    length.
    """
    frames, used = len(motion.values), 0
    turns: list[np.ndarray] = []
    places = np.zeros((frames, len(motion.joints), 3))
    for i, joint in enumerate(motion.joints):
        channels = joint.channels or ()
        values = motion.values[:, used:used + len(channels)]
        used += len(channels)
        step = np.tile(joint.offset, (frames, 1))
        moved = [k for k, channel in enumerate(channels) if channel.endswith('position')]
        if joint.parent is None or values[:, moved].any():
            for k in moved:
                step[:, 'xyz'.index(channels[k][0])] = values[:, k]
        turned = [k for k, channel in enumerate(channels) if channel.endswith('rotation')]
        # about axes that turn along the first channel is the outermost, about fixed ones the last
        order = ''.join(channels[k][0] for k in turned[::-1])
        turn = rotation(np.deg2rad(values[:, turned[::-1]]), order)
        if joint.parent is None:
            places[:, i] = step
            turns.append(turn)
        else:
            above = turns[joint.parent]
            places[:, i] = places[:, joint.parent] + (above @ step[..., None])[..., 0]
            turns.append(above @ turn)
    return places


def _is_plain(motion: BVHMotion) -> bool:
    """Whether pybvh has a place for all channels."""
    for joint in motion.joints:
        channels = joint.channels or ()
        rotations = tuple(channel for channel in channels if channel.endswith('rotation'))
        positions = tuple(channel for channel in channels if channel.endswith('position'))
        if len(rotations) != 3 or positions != (_ROOT_POSITIONS if joint.parent is None else ()):
            return False
    return True


def _positions_of_library(text: str, motion: BVHMotion, file: object) -> np.ndarray:
    try:
        import pybvh
    except ImportError as error:
        raise ConfigError('BVH files are read by pybvh: pip install pybvh (or mmactclr[convert])') from error
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # what it thinks of the direction of up is of no use here
        warnings.simplefilter('ignore')
        path = Path(folder) / 'motion.bvh'
        path.write_text(text, encoding='utf-8')
        try:
            read = pybvh.Bvh.from_file(path)
            positions, names = np.asarray(read.joint_positions()), tuple(read.joint_names)
        except Exception as error:  # whatever a file makes the library do
            raise fault(file, motion.line, f'pybvh cannot read the file ({type(error).__name__}: '
                        f'{ascii(" ".join(str(error).split()))[:120]})') from error
    if names != tuple(joint.name for joint in motion.joints) or positions.shape != (len(motion.values), len(names), 3):
        raise fault(file, motion.line, f'pybvh finds {len(names)} joints in {len(positions)} frames, '
                    f'{len(motion.joints)} in {len(motion.values)} were expected')
    return positions
