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
from mmactclr.structures import Layout, filled_joints, stand_ins
from mmactclr.structures.joint_names import find_roles

METRES = {'m': 1., 'metre': 1., 'metres': 1., 'meter': 1., 'meters': 1., 'cm': .01, 'centimetre': .01,
          'centimetres': .01, 'centimeter': .01, 'centimeters': .01, 'mm': .001, 'millimetre': .001,
          'millimetres': .001, 'millimeter': .001, 'millimeters': .001, 'in': .0254, 'inch': .0254, 'inches': .0254,
          'ft': .3048, 'feet': .3048}
# metres from the middle of the hips to that of the shoulders: medians of Kinect recordings lie between .35 and .39
TORSO = .38
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
    """

    source: Layout
    target: Layout
    scale: float = 1.
    up: str = '+y'
    mirrored: bool = False
    estimated: tuple[str, ...] = ()

    def __call__(self, keypoint: np.ndarray) -> np.ndarray:
        """Convert (M, T, V, C) to (M, T, V', 3) float32; absent persons and empty frames stay zero."""
        keypoint = np.einsum('wv,mtvc->mtwc', self._weights, keypoint)
        if keypoint.shape[-1] == 2:
            keypoint = np.concatenate([keypoint, np.zeros_like(keypoint[..., :1])], -1)
        return (keypoint @ (self.scale * self.rotation())).astype(np.float32)

    @cached_property
    def _weights(self) -> np.ndarray:
        """(V', V), every row adding up to one."""
        weights = np.zeros((self.target.num_joints, self.source.num_joints))
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
        return (self.source.joints, self.source.bones, self.scale, self.up, self.mirrored) == (
            self.target.joints, self.target.bones, 1., '+y', False)

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
            how = f', so that the median torso is {TORSO} m long' if 'scale' in self.estimated else ''
            parts.append(f'scaled by {self.scale:.4g} to metres{how}')
        if self.up != '+y':
            parts.append(f'{self.up} turned up to +y' + (' (estimated)' if 'up' in self.estimated else ''))
        if self.mirrored:
            parts.append('left-handed coordinates mirrored' + (' (feet point backwards)' if 'mirrored' in self.estimated
                                                               else ''))
        return '; '.join(parts)


def fit_adapter(sequences: Sequence[np.ndarray], source: Layout, target: Layout, unit: str = 'm',
                up: str | None = None, metres_per_unit: float | None = None,
                mirrored: bool | None = None) -> SkeletonAdapter:
    """The adapter of a set of recordings.

    Args:
        sequences: Recordings (M_i, T_i, V, C) of one set-up; an estimate looks at 200 of them.
        source: Layout of the recordings.
        target: Layout that is wanted.
        unit: Unit of the coordinates; one that is not known is estimated.
        up: Axis that points up; estimated if None.
        metres_per_unit: In place of ``unit``.
        mirrored: Whether the coordinates are left-handed; estimated if None, and taken as right-handed where feet do
            not tell.

    Raises:
        ConfigError: If an option is out of range or the layouts have no joint in common.
        DataError: If nobody is seen in any of the recordings.
    """
    if up is not None and up not in _UP:
        raise ConfigError(f'up is {up!r}, expected one of {", ".join(_UP)}')
    if metres_per_unit is not None and not 0 < metres_per_unit < float('inf'):
        raise ConfigError(f'metres_per_unit is {metres_per_unit}, expected a positive number')
    stand_ins(source, target)  # refuses layouts without a common joint before anything is read
    frames = _frames(sequences)
    estimated = []
    scale = METRES.get(unit.strip().lower()) if metres_per_unit is None else metres_per_unit
    if up is None:
        up, estimated = _estimate_up(frames, source), ['up']
    if scale is None:
        scale = TORSO / _torso(frames, source)
        estimated.append('scale')
    if mirrored is None:
        mirrored = frames.shape[-1] == 3 and _facing(frames, source, up) < MIRRORED_BELOW
        estimated.append('mirrored')
    return SkeletonAdapter(source, target, float(scale), up, bool(mirrored), tuple(estimated))


def _mean_of(joints: Sequence[str]) -> str:
    return joints[0] if len(joints) == 1 else f'the middle of {", ".join(joints)}'


def _frames(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Frames (F, V, C) of first persons in which somebody is seen."""
    if not len(sequences):
        raise DataError('there are no recordings, so neither unit nor axes can be told; give at least one')
    chosen = np.unique(np.linspace(0, len(sequences) - 1, min(_SAMPLE, len(sequences))).astype(int))
    frames = np.concatenate([sequences[i][0] for i in chosen])
    frames = frames[frames.any(axis=(1, 2))].astype(np.float64)
    if not len(frames):
        raise DataError('nobody is seen in the first person of any recording, so neither unit nor axes can be told; '
                        'convert the data again')
    return frames


def _spine(frames: np.ndarray, layout: Layout) -> np.ndarray:
    return frames[:, list(layout.shoulders)].mean(1) - frames[:, list(layout.hips)].mean(1)


def _torso(frames: np.ndarray, layout: Layout) -> float:
    length = float(np.median(np.linalg.norm(_spine(frames, layout), axis=-1)))
    if not length > 0:
        raise DataError('shoulders and hips lie in one point in half of the frames, so the unit cannot be told; '
                        'give metres_per_unit')
    return length


def _estimate_up(frames: np.ndarray, layout: Layout) -> str:
    mean = _spine(frames, layout).mean(0)
    axis = int(np.abs(mean).argmax())
    return ('+' if mean[axis] >= 0 else '-') + 'xyz'[axis]


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
            foot = _unit(_level(frames[:, tip] - frames[:, roles[side, 'ankle']], upward))
            found.append((foot * facing).sum(1).mean())
    return float(np.mean(found)) if found else 0.


def _level(vectors: np.ndarray, upward: np.ndarray) -> np.ndarray:
    return vectors - (vectors @ upward)[:, None] * upward


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
