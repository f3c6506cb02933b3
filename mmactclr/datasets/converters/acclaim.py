"""Acclaim motion capture: skeletons (``.asf``) and motion (``.amc``), and where the joints are.

A bone has a direction and a length in the rest pose, an axis system of its own (C) and degrees of freedom; a frame
gives the angles of those (M). With L = C M C^-1 a bone turns with R = R_parent L and ends at
p_parent + R direction length.
"""
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mmactclr.errors import DataError

from .text import fault, parse_numbers, shown

_DOFS = ('rx', 'ry', 'rz', 'tx', 'ty', 'tz', 'l')
_TURNS = ('rx', 'ry', 'rz')
# Lines of an .amc that say whether its angles are degrees.
_ANGLES = {b':DEGREES': True, b':RADIANS': False}
_ROOT_DOFS = ('tx', 'ty', 'tz', 'rx', 'ry', 'rz')
_INCH = .0254
_MOST_BONES, _MOST_FRAMES = 500, 1_000_000


@dataclass
class Bone:
    """One bone of a skeleton.

    Attributes:
        name: As the file has it.
        direction: (3,) unit vector in the rest pose.
        length: In the unit of the file.
        axis: (3, 3) the bone's own axes (C).
        dofs: What a frame gives for it, in order.
        parent: Name of the bone that it hangs on, None for the root.
        line: Where it is in the file.
    """

    name: str
    direction: np.ndarray = field(default_factory=lambda: np.zeros(3))
    length: float = 0.
    axis: np.ndarray = field(default_factory=lambda: np.eye(3))
    dofs: tuple[str, ...] = ()
    parent: str | None = None
    line: int = 0


@dataclass
class Skeleton:
    """What an ``.asf`` says.

    Attributes:
        bones: By name, parents first, the root among them.
        metres_per_unit: Length of the file's unit; an inch divided by the scale that it states.
        degrees: Whether angles are degrees, not radians.
        position: (3,) where the root is before anything moves.
    """

    bones: dict[str, Bone]
    metres_per_unit: float
    degrees: bool
    position: np.ndarray

    @property
    def joints(self) -> tuple[str, ...]:
        """``root`` and, for every bone, ``parent_@_bone``: the joint where it ends."""
        return tuple(name if bone.parent is None else f'{bone.parent}_@_{name}' for name, bone in self.bones.items())

    @property
    def edges(self) -> list[tuple[int, int]]:
        """(child, parent) positions in ``joints``."""
        place = {name: i for i, name in enumerate(self.bones)}
        return [(i, place[bone.parent]) for i, bone in enumerate(self.bones.values()) if bone.parent is not None]


def rotation(angles: np.ndarray, order: str) -> np.ndarray:
    """(..., 3, 3) of turns about the fixed axes named by ``order`` (such as ``xyz``), the first one first.

    Args:
        angles: (..., len(order)) radians.
        order: Axes.
    """
    result = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for k, axis in enumerate(order):
        cos, sin = np.cos(angles[..., k]), np.sin(angles[..., k])
        turn = np.zeros((*angles.shape[:-1], 3, 3))
        i = 'xyz'.index(axis)
        a, b = (i + 1) % 3, (i + 2) % 3
        turn[..., i, i] = 1
        turn[..., a, a], turn[..., b, b] = cos, cos
        turn[..., a, b], turn[..., b, a] = -sin, sin
        result = turn @ result
    return result


def _lines(content: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Words of every line that is no comment, with its position."""
    for i, line in enumerate(content.splitlines()):
        words = line.split(b'#', 1)[0].split()
        if words:
            yield i, words


def _numbers(file: object, line: int, words: list[bytes], count: int, what: str) -> np.ndarray:
    values = parse_numbers(words)
    if values is None or len(values) != count:
        raise fault(file, line, f'{shown(b" ".join(words))}, expected {what}, {count} numbers')
    return values


def parse_asf(content: bytes, file: object) -> Skeleton:
    """Parses a skeleton.

    Raises:
        DataError: A line is not what it should be, or the bones are no tree; the message names file and line.
    """
    section, last, complete = b'', 0, False
    units = {b'length': 1., b'angle': True}
    bones: dict[str, Bone] = {'root': Bone('root', dofs=_ROOT_DOFS)}
    position, angles, order = np.zeros(3), np.zeros(3), 'xyz'
    bone: Bone | None = None
    for i, words in _lines(content):
        last, key = i, words[0].lower()
        if key.startswith(b':'):
            section, complete = key, complete or key == b':hierarchy'
        elif section == b':units' and key == b'length':
            units[key] = float(_numbers(file, i, words[1:], 1, 'the length of a unit')[0])
            if not units[key] > 0:
                raise fault(file, i, f'{shown(b" ".join(words))}, expected a positive length')
        elif section == b':units' and key == b'angle':
            units[key] = words[-1].lower().startswith(b'deg')
        elif section == b':root':
            if key == b'order':
                bones['root'].dofs = _dofs(file, i, words[1:])
            elif key == b'axis':
                order = _order(file, i, words[1:])
            elif key == b'position':
                position = _numbers(file, i, words[1:], 3, 'the position of the root')
            elif key == b'orientation':
                angles = _numbers(file, i, words[1:], 3, 'the orientation of the root')
        elif section == b':bonedata':
            bone = _bone_line(file, i, words, bone, bones, bool(units[b'angle']))
        elif section == b':hierarchy' and key not in (b'begin', b'end'):
            _hierarchy_line(file, i, words, bones)
    if not complete:
        raise fault(file, last, 'the file ends without a :hierarchy')
    bones['root'].axis = rotation(np.deg2rad(angles) if units[b'angle'] else angles, order)
    return Skeleton(_parents_first(file, bones), _INCH / float(units[b'length']), bool(units[b'angle']), position)


def _dofs(file: object, line: int, words: list[bytes]) -> tuple[str, ...]:
    names = tuple(word.decode('ascii', 'replace').lower() for word in words)
    if set(names) - {*_DOFS} or len(set(names)) != len(names):
        raise fault(file, line, f'{shown(b" ".join(words))}, expected some of {", ".join(_DOFS)}')
    return names


def _order(file: object, line: int, words: list[bytes]) -> str:
    text = b''.join(words).decode('ascii', 'replace').lower()
    if sorted(text) != ['x', 'y', 'z']:
        raise fault(file, line, f'{shown(b" ".join(words))}, expected an order of axes such as XYZ')
    return text


def _bone_line(file: object, i: int, words: list[bytes], bone: Bone | None, bones: dict[str, Bone],
               degrees: bool) -> Bone | None:
    """Takes a line of :bonedata in; returns the bone that is open after it."""
    key, rest = words[0].lower(), words[1:]
    if key == b'begin':
        return Bone('', line=i)
    if bone is None:
        raise fault(file, i, f'{shown(b" ".join(words))}, expected begin')
    if key == b'end':
        if not re.fullmatch(r'[\w.:\-]{1,80}', bone.name) or bone.name in bones or len(bones) > _MOST_BONES:
            raise fault(file, i, f'a bone of name {ascii(bone.name)[:40]}, expected a new name')
        bones[bone.name] = bone
        return None
    if key == b'name' and len(rest) == 1:
        bone.name = rest[0].decode('utf-8', 'backslashreplace')
    elif key == b'direction':
        bone.direction = _numbers(file, i, rest, 3, 'a direction')
    elif key == b'length':
        bone.length = float(_numbers(file, i, rest, 1, 'a length')[0])
    elif key == b'axis':
        angles = _numbers(file, i, rest[:3], 3, 'the axes of the bone')
        bone.axis = rotation(np.deg2rad(angles) if degrees else angles, _order(file, i, rest[3:]))
    elif key == b'dof':
        bone.dofs = _dofs(file, i, rest)
        if {'tx', 'ty', 'tz', 'l'} & {*bone.dofs}:
            raise fault(file, i, f'{shown(b" ".join(words))}: a bone that moves or stretches cannot be read')
    return bone


def _hierarchy_line(file: object, i: int, words: list[bytes], bones: dict[str, Bone]) -> None:
    names = [word.decode('utf-8', 'backslashreplace') for word in words]
    for name in names:
        if name not in bones:
            raise fault(file, i, f'there is no bone {ascii(name)[:40]}')
    for name in names[1:]:
        if name == 'root' or bones[name].parent is not None:
            raise fault(file, i, f'bone {ascii(name)[:40]} hangs on two others')
        bones[name].parent = names[0]


def _parents_first(file: object, bones: dict[str, Bone]) -> dict[str, Bone]:
    ordered = {'root': bones['root']}
    children: dict[str, list[str]] = {}
    for name, bone in bones.items():
        children.setdefault(bone.parent or '', []).append(name)
    queue = ['root']
    while queue:
        for name in children.get(queue.pop(0), ()):
            ordered[name] = bones[name]
            queue.append(name)
    lost = [bone for name, bone in bones.items() if name not in ordered]
    if lost:
        raise fault(file, lost[0].line, f'bone {ascii(lost[0].name)[:40]} hangs on nothing that leads to the root')
    return ordered


def parse_amc(content: bytes, file: object, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Values of every bone with degrees of freedom, (T, number of them) each; angles in radians.

    The unit of the angles is that of the skeleton unless the file states its own (``:DEGREES``, ``:RADIANS``).

    Raises:
        DataError: A line is not what it should be; the message names file and line.
    """
    wanted = {name.encode(): len(bone.dofs) for name, bone in skeleton.bones.items() if bone.dofs}
    values: dict[bytes, list[bytes]] = {name: [] for name in wanted}
    where: dict[bytes, list[int]] = {name: [] for name in wanted}
    frames, last, degrees = 0, 0, skeleton.degrees
    for i, words in _lines(content):
        last = i
        if words[0].startswith(b':'):
            degrees = _ANGLES.get(words[0].upper(), degrees)
            continue
        if len(words) == 1 and words[0].isdigit():
            _check_frame(file, i, frames, where)
            frames += 1
            if frames > _MOST_FRAMES:
                raise fault(file, i, f'more than {_MOST_FRAMES} frames')
            continue
        count = wanted.get(words[0])
        if count is None or len(words) != count + 1 or not frames or len(where[words[0]]) >= frames:
            expected = 'a frame number' if not frames else (
                f'{count} numbers, once a frame' if count is not None else 'the name of a bone of the skeleton')
            raise fault(file, i, f'{shown(b" ".join(words))}, expected {expected}')
        values[words[0]] += words[1:]
        where[words[0]].append(i)
    if not frames:
        raise fault(file, last, 'no frame in the file')
    _check_frame(file, last, frames, where)
    found = {}
    for name, words in values.items():
        numbers = parse_numbers(words)
        if numbers is None or len(numbers) != len(words):
            count = wanted[name]
            wrong = next((k for k in range(frames) if parse_numbers(words[k * count:(k + 1) * count]) is None), 0)
            raise fault(file, where[name][wrong], f'{shown(name)}: {count} finite numbers expected')
        found[name.decode()] = numbers.reshape(frames, -1)
        if degrees:
            turning = [k for k, dof in enumerate(skeleton.bones[name.decode()].dofs) if dof in _TURNS]
            found[name.decode()][:, turning] = np.deg2rad(found[name.decode()][:, turning])
    return found


def _check_frame(file: object, line: int, frames: int, where: dict[bytes, list[int]]) -> None:
    """Every bone was given in every frame so far."""
    for name, lines in where.items():
        if len(lines) != frames:
            raise fault(file, line, f'frame {frames} ends without bone {shown(name)}')


def joint_positions(skeleton: Skeleton, motion: dict[str, np.ndarray]) -> np.ndarray:
    """Forward kinematics.

    Args:
        skeleton: Bones.
        motion: What :func:`parse_amc` found.

    Returns:
        (T, V, 3) float64 positions of ``skeleton.joints`` in the unit of the file.

    Raises:
        DataError: They are not finite.
    """
    frames = len(motion['root'])
    turns: dict[str, np.ndarray] = {}
    places: dict[str, np.ndarray] = {}
    for name, bone in skeleton.bones.items():
        values = motion.get(name, np.zeros((frames, 0)))
        order = ''.join(dof[1] for dof in bone.dofs if dof[0] == 'r')
        angles = values[:, [k for k, dof in enumerate(bone.dofs) if dof[0] == 'r']]
        turn = rotation(angles, order)
        # C^-1 of a rotation is its transpose
        turn = bone.axis @ turn @ bone.axis.T
        if bone.parent is None:
            moved = np.zeros((frames, 3))
            for k, dof in enumerate(bone.dofs):
                if dof[0] == 't':
                    moved[:, 'xyz'.index(dof[1])] = values[:, k]
            turns[name], places[name] = turn, skeleton.position + moved
        else:
            turns[name] = turns[bone.parent] @ turn
            places[name] = places[bone.parent] + turns[name] @ (bone.direction * bone.length)
    positions = np.stack(list(places.values()), axis=1)
    if not np.isfinite(positions).all():
        raise DataError('positions are not finite')
    return positions
