"""Recordings of one set-up for a model of another: joints by name, metres, y up, right-handed.

What cannot be read off is estimated from the recordings themselves: the up axis from hips to shoulders, the unit, where
nobody knows it, from the length of the torso, the handedness from feet that point backwards.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, filled_joints, get_layout, stand_ins
from mmactclr.structures.joint_names import find_roles

METRES = {'m': 1., 'metre': 1., 'metres': 1., 'meter': 1., 'meters': 1., 'cm': .01, 'centimetre': .01,
          'centimetres': .01, 'centimeter': .01, 'centimeters': .01, 'mm': .001, 'millimetre': .001,
          'millimetres': .001, 'millimeter': .001, 'millimeters': .001, 'in': .0254, 'inch': .0254, 'inches': .0254,
          'ft': .3048, 'foot': .3048, 'feet': .3048}
# Metres from the middle of the hips to that of the shoulders, where they really are: UI-PRMD has .49. Kinect v1 puts
# hips high (.37 to .38 in UTD-MHAD and NW-UCLA), but its recordings have a unit. With this length the arms and legs of
# HDM05, which has none, add up to 1.31 m, those of NTU RGB+D to 1.30 m.
TORSO = .5
# of people, in metres, from a toddler up
PLAUSIBLE_TORSO = (.2, 1.)
# share of the torso's length that points along the up axis on average; real recordings have .93 to .99
CLEARLY_UP = .7
# of the mean cosine between feet and the direction that shoulders face; right-handed recordings have .4 to .9
MIRRORED_BELOW = -.3
# sequences that an estimate looks at
_SAMPLE = 200
_UP = {'+x': (0, 1), '-x': (0, -1), '+y': (1, 1), '-y': (1, -1), '+z': (2, 1), '-z': (2, -1)}


@dataclass(frozen=True)
class SkeletonAdapter:
    """Turns recordings of one layout into those of another.

    Attributes:
        source: Layout of the recordings.
        target: Layout of the model.
        scale: Metres per unit of the recordings.
        up: Axis of the recordings that points up: ``+x``, ``-x``, ..., ``-z``.
        mirrored: Whether the recordings are left-handed, so that left limbs would come out on the right.
        estimated: Which of ``scale``, ``up`` and ``mirrored`` were estimated.
        axes: Coordinates C of the recordings, 2 for flat ones.
        doubts: What a user should look at, one line each for the log.
    """

    source: Layout
    target: Layout
    scale: float = 1.
    up: str = '+y'
    mirrored: bool = False
    estimated: tuple[str, ...] = ()
    axes: int = 3
    doubts: tuple[str, ...] = ()

    def __call__(self, keypoint: np.ndarray) -> np.ndarray:
        """Convert (M, T, V, C) to (M, T, V', 3) float32; absent persons and empty frames stay zero.

        Raises:
            DataError: If V or C differ from those of the recordings that the adapter was fitted to.
        """
        _check_shape(keypoint, self.source, (self.axes,))
        # without the third row, flat recordings get a depth of zero
        matrix = (self.scale * self.rotation()[:self.axes]).astype(np.float32)
        return self._weights @ (np.asarray(keypoint, np.float32) @ matrix)

    @cached_property
    def _weights(self) -> np.ndarray:
        """(V', V), every row adding up to one."""
        weights = np.zeros((self.target.num_joints, self.source.num_joints), np.float32)
        for joint, sources in enumerate(stand_ins(self.source, self.target)):
            weights[joint, list(sources)] = 1 / len(sources)
        return weights

    def rotation(self) -> np.ndarray:
        """(3, 3) matrix for row vectors: a turn of ``up`` to +y, and a reflection of mirrored recordings."""
        axis, sign = _UP[self.up]
        matrix = np.eye(3)
        if axis == 1 and sign < 0:
            matrix = np.diag([-1., -1., 1.])
        elif axis == 0:
            matrix = np.array([[0, sign, 0], [-sign, 0, 0], [0, 0, 1.]])
        elif axis == 2:
            matrix = np.array([[1., 0, 0], [0, 0, -sign], [0, sign, 0]])
        return matrix @ np.diag([-1., 1., 1.]) if self.mirrored else matrix

    @property
    def changes_nothing(self) -> bool:
        """Whether recordings come out as they are."""
        return (self.source.joints, self.source.bones, self.scale, self.up, self.mirrored, self.axes) == (
            self.target.joints, self.target.bones, 1., '+y', False, 3)

    def describe(self) -> dict[str, Any]:
        """Plain data from which the same conversion follows."""
        return dict(target=self.target.to_dict(), joints=[list(each) for each in stand_ins(self.source, self.target)],
                    scale=self.scale, up=self.up, mirrored=self.mirrored)

    def summary(self) -> str:
        """What is done, in one line for the log."""
        parts = [f'{self.source.name} -> {self.target.name}']
        by_source: dict[tuple[str, ...], list[str]] = {}
        for joint, stand_in in filled_joints(self.source, self.target).items():
            by_source.setdefault(stand_in, []).append(joint)
        if by_source:
            parts.append('missing joints filled: ' + ', '.join(
                f'{" and ".join(joints)} from {_mean_of(stand_in)}' for stand_in, joints in by_source.items()))
        if self.scale != 1:
            scaled = f'scaled by {self.scale:.4g} to metres'
            parts.append(f'no unit of length is known: {scaled}, so that the median torso is {TORSO} m long'
                         if 'scale' in self.estimated else scaled)
        if self.up != '+y':
            parts.append(f'{self.up} turned up to +y' + (' (estimated)' if 'up' in self.estimated else ''))
        if self.mirrored:
            parts.append('left-handed coordinates mirrored' + (' (feet point backwards)' if 'mirrored' in self.estimated
                                                               else ''))
        return '; '.join(parts)


def fit_adapter(sequences: Sequence[np.ndarray], source: str | Layout, target: str | Layout, unit: str = 'm',
                up: str | None = None, metres_per_unit: float | None = None,
                mirrored: bool | None = None) -> SkeletonAdapter:
    """The adapter of a set of recordings.

    Args:
        sequences: Recordings (M_i, T_i, V, C) of one set-up; an estimate looks at 200 of them.
        source: Layout of the recordings, or its name.
        target: Layout that is wanted, or its name.
        unit: Unit of the coordinates; one that is not known is estimated.
        up: Axis that points up; estimated if None.
        metres_per_unit: Factor, in place of ``unit``.
        mirrored: Whether the coordinates are left-handed; estimated if None, and taken as right-handed where feet do
            not tell.

    Raises:
        ConfigError: If an option is out of range or the layouts have no joint in common.
        DataError: If something is to be estimated and nobody is seen with both shoulders and both hips, or a shape
            does not fit the layout.
    """
    if metres_per_unit is not None and not 0 < metres_per_unit < float('inf'):
        raise ConfigError(f'metres_per_unit is {metres_per_unit}, expected a positive number')
    source, target = get_layout(source), get_layout(target)
    stand_ins(source, target)  # refuses layouts without a common joint before anything is read
    frames = _frames(sequences, source)
    spine, axes = _spine(frames, source), frames.shape[-1]
    _check_up(up, axes)
    scale = METRES.get(unit.strip().lower()) if metres_per_unit is None else metres_per_unit
    if not len(frames) and None in (up, scale):
        raise DataError('nobody is seen with both shoulders and both hips in any recording, so neither unit nor axes '
                        'can be told; give up and metres_per_unit, or convert the data again')
    estimated = []
    if up is None:
        up, estimated = _estimate_up(spine), ['up']
    if scale is None:
        scale = _estimate_scale(spine)
        estimated.append('scale')
    if mirrored is None:
        mirrored = axes == 3 and _facing(frames, source, up) < MIRRORED_BELOW
        estimated.append('mirrored')
    return SkeletonAdapter(source, target, float(scale), up, bool(mirrored), tuple(estimated), axes,
                           _doubts(spine, scale, up, axes))


def _mean_of(joints: Sequence[str]) -> str:
    return joints[0] if len(joints) == 1 else f'the middle of {", ".join(joints)}'


def _check_up(up: str | None, axes: int) -> None:
    known = [name for name, (axis, _) in _UP.items() if axis < axes]
    if up is not None and up not in known:
        raise ConfigError(f'up is {up!r}, expected one of {", ".join(known)} for {axes} coordinates')


def _check_shape(keypoint: np.ndarray, layout: Layout, axes: tuple[int, ...]) -> None:
    if keypoint.ndim != 4 or keypoint.shape[2] != layout.num_joints or keypoint.shape[3] not in axes:
        raise DataError(f'a recording has shape {keypoint.shape}, expected (persons, frames, {layout.num_joints}, '
                        f"{' or '.join(map(str, axes))}) in layout '{layout.name}'; name the layout of the recordings")


def _frames(sequences: Sequence[np.ndarray], layout: Layout) -> np.ndarray:
    """Frames (F, V, C) float64 in which somebody is seen with both shoulders and both hips."""
    if not len(sequences):
        raise DataError('there are no recordings, so neither unit nor axes can be told; give at least one')
    torso = [*layout.shoulders, *layout.hips]
    found: list[np.ndarray] = []
    for i in np.unique(np.linspace(0, len(sequences) - 1, min(_SAMPLE, len(sequences))).astype(int)):
        _check_shape(sequences[i], layout, found[0].shape[-1:] if found else (2, 3))
        frames = sequences[i].reshape(-1, *sequences[i].shape[2:])
        # pose estimators leave joints that they did not find at the origin, or give no number
        seen = frames[:, torso].any(-1).all(-1) & np.isfinite(frames).all((1, 2))
        found.append(frames[seen].astype(np.float64))
    return np.concatenate(found)


def _spine(frames: np.ndarray, layout: Layout) -> np.ndarray:
    return frames[:, list(layout.shoulders)].mean(1) - frames[:, list(layout.hips)].mean(1)


def _length(spine: np.ndarray) -> float:
    """Median length of the torso."""
    return float(np.median(np.linalg.norm(spine, axis=-1)))


def _estimate_scale(spine: np.ndarray) -> float:
    length = _length(spine)
    if not length > 0:
        raise DataError('shoulders and hips lie in one point in half of the frames, so the unit cannot be told; '
                        'give metres_per_unit')
    return TORSO / length


def _estimate_up(spine: np.ndarray) -> str:
    mean = spine.mean(0)
    axis = int(np.abs(mean).argmax())
    return ('+' if mean[axis] >= 0 else '-') + 'xyz'[axis]


def _doubts(spine: np.ndarray, scale: float, up: str, axes: int) -> tuple[str, ...]:
    """What speaks against the scale and the up axis, and that depth is missing."""
    found = []
    length, (axis, sign) = np.linalg.norm(spine, axis=-1).sum(), _UP[up]
    if length > 0 and (share := sign * spine[:, axis].sum() / length) < CLEARLY_UP:
        found.append(f'{up} is taken as up, though torsos point there with {share:.0%} of their length, expected '
                     f'{CLEARLY_UP:.0%} or more; set up if that is wrong')
    low, high = PLAUSIBLE_TORSO
    if length > 0 and not low <= (torso := scale * _length(spine)) <= high:
        found.append(f'with {scale:.4g} metres per unit the median torso is {torso:.3g} m long, expected {low} to '
                     f'{high} m; set metres_per_unit if that is wrong')
    if axes == 2:
        found.append('no depth: it is zero, and a model that was trained with depth will do worse')
    return tuple(found)


def _facing(frames: np.ndarray, layout: Layout, up: str) -> float:
    """Mean cosine between feet and where the shoulders face in right-handed coordinates; 0 without feet."""
    roles = find_roles(layout.joints)
    axis, sign = _UP[up]
    upward = np.zeros(3)
    upward[axis] = sign
    left, right = layout.shoulders
    facing = _unit(np.cross(upward, _level(frames[:, right] - frames[:, left], upward)))
    found = []
    for side in ('left', 'right'):
        tip = roles.get((side, 'toe'), roles.get((side, 'foot')))
        if tip is not None and (side, 'ankle') in roles:
            ankle, toe = frames[:, roles[side, 'ankle']], frames[:, tip]
            seen = ankle.any(1) & toe.any(1)
            found.append((_unit(_level(toe - ankle, upward)) * facing).sum(1)[seen])
    cosines = np.concatenate(found or [np.zeros(0)])
    return float(cosines.mean()) if len(cosines) else 0.


def _level(vectors: np.ndarray, upward: np.ndarray) -> np.ndarray:
    return vectors - (vectors @ upward)[:, None] * upward


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
