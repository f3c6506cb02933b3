"""A sequence at one stage of its way to the encoder, and what of it is drawn."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmactclr.errors import DataError
from mmactclr.structures import Layout

from .skeleton import Limits

# room around bodies, and between two that are drawn side by side, as a share of their size
_MARGIN, _GAP = .08, .25
# a joint at exactly zero is a joint all the same, where the origin lies within this share of the body around it
_ORIGIN_MARGIN = .25
# an arrow of the motion stream that is longer than nine in ten has this share of the body's height
_ARROW, _LONG = .2, 90


@dataclass(frozen=True)
class MotionClip:
    """One sequence at one stage.

    Attributes:
        label: What the stage is called.
        joints: (M, T, V, C) positions in any unit, C = 2 or 3; zero where nobody is.
        layout: Layout of the joints.
        mask: (M,) bool, who is there; all if None.
        motion: (M, T, V, C) displacements to draw as arrows on pale bodies, if any.
        weight: (M, T, V) in [0, 1] to colour joints and bones by, such as an actionlet over its maximum, if any.
        borrowed: (M, T, V) bool, joints that were taken from another sequence, if any.
        centred: Each body was centred on its own: they are drawn side by side, and zero is a place like any other.
        notes: What there is to say about it, a few words each.
        unit: Of the positions, if known.
        weight_key: Weights that the legend explains, with what they mean.

    Raises:
        DataError: If the joints do not fit the layout or are not finite.
    """

    label: str
    joints: np.ndarray
    layout: Layout
    mask: np.ndarray | None = None
    motion: np.ndarray | None = None
    weight: np.ndarray | None = None
    borrowed: np.ndarray | None = None
    centred: bool = False
    notes: tuple[str, ...] = ()
    unit: str = ''
    weight_key: tuple[tuple[float, str], ...] = ((0., 'actionlet 0'), (.5, '0.5'), (1., '1, the most of this sequence'))

    def __post_init__(self) -> None:
        shape = np.shape(self.joints)
        if len(shape) != 4 or 0 in shape or shape[2] != self.layout.num_joints or shape[3] not in (2, 3):
            raise DataError(f'{self.label}: joints have shape {shape}, expected (M, T, {self.layout.num_joints}, '
                            f'2 or 3) in layout {self.layout.name!r}')
        if self.weight is not None and (np.shape(self.weight) != shape[:3] or not (
                (np.asarray(self.weight) >= 0) & (np.asarray(self.weight) <= 1)).all()):
            raise DataError(f'{self.label}: weight of shape {np.shape(self.weight)}, expected {shape[:3]} with values '
                            'from 0 to 1; divide an actionlet by its maximum')
        if not np.isfinite(self.joints).all():
            raise DataError(f'{self.label}: there are coordinates that are not finite; '
                            'tools/dataset_converters/verify.py names all such sequences')

    @property
    def num_persons(self) -> int:
        """M."""
        return self.joints.shape[0]

    @property
    def num_frames(self) -> int:
        """T."""
        return self.joints.shape[1]

    @property
    def num_seen(self) -> int:
        """Persons up to the last one who is there in some frame."""
        seen = np.flatnonzero(self.found.any((1, 2)))
        return int(seen[-1]) + 1 if len(seen) else 0

    @cached_property
    def found(self) -> np.ndarray:
        """(M, T, V) bool, joints to draw.

        Pose estimators leave joints that they did not find at zero, far from the body. Recordings that are centred
        have a joint there, too, but inside.
        """
        anywhere = (self.joints != 0).any(-1)
        there = anywhere.any(-1)
        if self.mask is not None:
            there = there & np.asarray(self.mask, bool)[:, None]
        if self.centred:
            return np.broadcast_to(there[..., None], anywhere.shape)
        low = np.where(anywhere[..., None], self.joints, np.inf).min(2)
        high = np.where(anywhere[..., None], self.joints, -np.inf).max(2)
        with np.errstate(invalid='ignore'):
            margin = _ORIGIN_MARGIN * (high - low).max(-1, keepdims=True)
            around_origin = ((low - margin <= 0) & (high + margin >= 0)).all(-1)
        return there[..., None] & (anywhere | around_origin[..., None])

    @cached_property
    def placed(self) -> np.ndarray:
        """(M, T, V, 2) x and y as drawn: those of the data, but for the second and further of centred bodies."""
        flat = np.array(self.joints[..., :2], np.float64)
        if self.centred and self.found.any():
            x = np.where(self.found, flat[..., 0], np.nan)
            width = np.nanmax(x) - np.nanmin(x)
            flat[..., 0] += (1 + _GAP) * width * np.arange(self.num_persons)[:, None, None]
        return flat

    @cached_property
    def in_space(self) -> np.ndarray:
        """(M, T, V, 3) x to the right, y up, z towards who looks at flat pictures; no depth of flat data."""
        depth = np.array(self.joints[..., 2:], np.float64)
        return upright_vectors(np.concatenate([self.placed, depth], -1), self.y_grows_down)

    @property
    def height(self) -> float:
        """Median extent of a body in its longer direction; 1 where nobody is."""
        extents = [np.ptp(flat[found], axis=0).max() for flat, found in zip(
            self.placed.reshape(-1, *self.placed.shape[2:]), self.found.reshape(-1, self.found.shape[2]), strict=True)
            if found.any()]
        return float(np.median(extents)) or 1. if extents else 1.

    @cached_property
    def arrow_scale(self) -> float:
        """Factor by which displacements are drawn enlarged."""
        if self.motion is None:
            return 1.
        moving = np.linalg.norm(self.motion[..., :2], axis=-1)[self.found]
        long = np.percentile(moving, _LONG) if len(moving) else 0.
        return float(_ARROW * self.height / long) if long > 0 else 1.

    @cached_property
    def y_grows_down(self) -> bool:
        """Whether shoulders have a smaller y than hips, as in images."""
        height = []
        for pair in (self.layout.shoulders, self.layout.hips):
            found = self.found[:, :, list(pair)]
            height.append(self.placed[:, :, list(pair), 1][found].mean() if found.any() else 0.)
        return height[0] < height[1]

    def limits(self, frames: np.ndarray) -> Limits:
        """Left, right, bottom and top of a view that holds everybody in these frames, head up."""
        points = self.placed[:, frames][self.found[:, frames]]
        if not len(points):
            return -1., 1., -1., 1.
        return self._view(points.min(0), points.max(0))

    def following_limits(self, frames: np.ndarray) -> list[Limits]:
        """The same for each of these frames alone, all views of one size: the view follows the bodies."""
        boxes = [self.limits(frames[i:i + 1]) for i in range(len(frames))]
        size = np.array([[abs(right - left), abs(top - bottom)] for left, right, bottom, top in boxes])
        if len(seen := [i for i, frame in enumerate(frames) if self.found[:, frame].any()]):
            size = size[seen]
        width, height = (size.max(0) / 2).tolist()
        up = -1 if self.y_grows_down else 1
        return [((left + right) / 2 - width, (left + right) / 2 + width, (bottom + top) / 2 - up * height,
                 (bottom + top) / 2 + up * height) for left, right, bottom, top in boxes]

    def _view(self, low: np.ndarray, high: np.ndarray) -> Limits:
        # a body that is a single point is drawn, too
        margin = _MARGIN * float((high - low).max()) or 1.
        (left, bottom), (right, top) = low - margin, high + margin
        if self.y_grows_down:
            bottom, top = top, bottom
        return float(left), float(right), float(bottom), float(top)


def upright_vectors(vectors: np.ndarray, y_grows_down: bool) -> np.ndarray:
    """(..., 2 or 3) as (..., 3) with y up, turned about x so that left stays left; missing depth is zero."""
    if vectors.shape[-1] == 2:
        vectors = np.concatenate([vectors, np.zeros_like(vectors[..., :1])], -1)
    return vectors * [1., -1., -1.] if y_grows_down else vectors
