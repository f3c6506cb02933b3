"""Augmentation the plain way: one sequence at a time, in numpy.

What the batched transforms of :mod:`mmactclr.transforms` are timed against. The transformations, their constants and
probabilities are those of the paper's preset (``configs/_base_/models/actclr_paper.py``). A sequence is (C, T, V, M)
float32. Every function is vectorised over axes, frames, joints and persons, and a transformation that is not drawn
costs nothing.

There are two idioms of the same arithmetic. ``PUBLIC`` is how public skeleton code writes it: linear maps as ``np.dot``
of a transposed view, one turn after another, noise from ``normal(0, std)``. ``TUNED`` is what profiling makes of that:
products with contiguous rows, one matrix for all turns, noise drawn in float32.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mmactclr.structures import Layout

PAD_DIVISOR = 6
SHEAR = 0.5
CHANCE = 0.5
MAX_MAIN_ANGLE, MAX_OTHER_ANGLE = 30., 1.
NOISE, STRONG_NOISE = 0.01, 0.05
KERNEL, SIGMA = 15, (0.1, 2.)
TEMPO = (0.5, 1.5)
BONE_FACTOR = (0., 0.5)

Generator = np.random.Generator


def crop(x: np.ndarray, start: int) -> np.ndarray:
    """T frames from ``start`` of a sequence (C, T, V, M) whose ends are mirrored by T // 6 frames."""
    frames = x.shape[1]
    pad = frames // PAD_DIVISOR
    padded = np.concatenate([x[:, :pad][:, ::-1], x, x[:, frames - pad:][:, ::-1]], axis=1)
    return padded[:, start:start + frames]


def map_transposed(x: np.ndarray, matrices: Sequence[np.ndarray], centre: int) -> np.ndarray:
    """Multiply positions relative to the centre joint, as row vectors, with (C, C) matrices in turn: (C, T, V, M)."""
    root = x[:, :, centre:centre + 1]
    moved = (x - root).transpose(1, 2, 3, 0)
    for matrix in matrices:
        moved = np.dot(moved, matrix)
    return moved.transpose(3, 0, 1, 2) + root


def map_contiguous(x: np.ndarray, matrices: Sequence[np.ndarray], centre: int) -> np.ndarray:
    """As :func:`map_transposed`, as one product."""
    root = x[:, :, centre:centre + 1]
    matrix = matrices[0] if len(matrices) == 1 else np.linalg.multi_dot(matrices)
    moved = matrix.T @ (x - root).reshape(len(x), -1)
    return moved.reshape(x.shape) + root


def shear_matrix(rng: Generator) -> np.ndarray:
    """Ones on the diagonal, U(-0.5, 0.5) elsewhere, (3, 3)."""
    matrix = rng.uniform(-SHEAR, SHEAR, (3, 3)).astype(np.float32)
    np.fill_diagonal(matrix, 1)
    return matrix


def rotation_angles(rng: Generator) -> np.ndarray:
    """One axis by U(0, 30) degrees, the two others by U(0, 1), (3,) in radians."""
    limits = np.full(3, MAX_OTHER_ANGLE)
    limits[rng.integers(3)] = MAX_MAIN_ANGLE
    return np.deg2rad(rng.uniform(0, limits))


def rotation_matrices(angles: np.ndarray) -> list[np.ndarray]:
    """Turns about x, y and z, for row vectors, by (3,) radians: three (3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    return [np.array(rows, np.float32) for rows in (
        [[1, 0, 0], [0, cx, sx], [0, -sx, cx]],
        [[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]],
        [[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])]


def flip(x: np.ndarray, layout: Layout) -> np.ndarray:
    """Exchange left and right joints, (C, T, V, M)."""
    return x[:, :, list(layout.flip_index)]


def noise_float64(shape: Sequence[int], std: float, rng: Generator) -> np.ndarray:
    """Normal noise drawn in double precision, as float32."""
    return rng.normal(0, std, shape).astype(np.float32)


def noise_float32(shape: Sequence[int], std: float, rng: Generator) -> np.ndarray:
    """Normal noise drawn in single precision."""
    return rng.standard_normal(shape, np.float32) * np.float32(std)


def blur(x: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth over time with a normalised Gaussian of 15 frames, mirrored at the ends: (C, T, V, M)."""
    half = KERNEL // 2
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    padded = np.pad(x, ((0, 0), (half, half), (0, 0), (0, 0)), mode='symmetric')
    out = kernel[0] * padded[:, :x.shape[1]]
    for shift in range(1, KERNEL):
        out += kernel[shift] * padded[:, shift:shift + x.shape[1]]
    return out


def mask_axis(x: np.ndarray, axis: int) -> np.ndarray:
    """Set one of x, y, z to zero, (C, T, V, M)."""
    out = x.copy()
    out[axis] = 0
    return out


def change_tempo(x: np.ndarray, length: int) -> np.ndarray:
    """Resample to ``length`` frames, half-pixel centres, then cut or zero-pad to T: (C, T, V, M)."""
    frames = x.shape[1]
    kept = min(length, frames)
    position = ((np.arange(kept) + 0.5) * (frames / length) - 0.5).clip(0, frames - 1)
    left = position.astype(np.int64)
    right = np.minimum(left + 1, frames - 1)
    weight = (position - left).astype(np.float32)[:, None, None]
    out = np.zeros_like(x)
    out[:, :kept] = x[:, left] * (1 - weight) + x[:, right] * weight
    return out


def rescale_bones(x: np.ndarray, factor: np.ndarray, layout: Layout) -> np.ndarray:
    """Multiply every bone by its factor (V,) and integrate outward from the centre joint: (C, T, V, M)."""
    bones = (x - x[:, :, list(layout.parents)]) * factor[:, None]
    out = np.empty_like(x)
    out[:, :, layout.centre] = x[:, :, layout.centre]
    for joint in layout.order:
        if joint != layout.centre:
            out[:, :, joint] = out[:, :, layout.parents[joint]] + bones[:, :, joint]
    return out


@dataclass(frozen=True)
class Idiom:
    """How linear maps and noise are written; see the head of the module.

    Attributes:
        linear_map: Sequence (C, T, V, M), matrices and centre joint to the moved sequence.
        noise: Shape, standard deviation and generator to float32 noise.
    """

    linear_map: Callable[[np.ndarray, Sequence[np.ndarray], int], np.ndarray]
    noise: Callable[[Sequence[int], float, Generator], np.ndarray]


PUBLIC = Idiom(map_transposed, noise_float64)
TUNED = Idiom(map_contiguous, noise_float32)


@dataclass(frozen=True)
class PlainAugmentation:
    """Augments sequence by sequence.

    Attributes:
        layout: Joints of the sequences.
        rng: Source of all draws.
        idiom: ``PUBLIC`` or ``TUNED``.
    """

    layout: Layout
    rng: Generator
    idiom: Idiom = PUBLIC

    def weak(self, x: np.ndarray) -> np.ndarray:
        """Temporal crop and shear of a sequence (C, T, V, M)."""
        x = crop(x, self.rng.integers(0, 2 * (x.shape[1] // PAD_DIVISOR) + 1))
        return self.idiom.linear_map(x, [shear_matrix(self.rng)], self.layout.centre)

    def normal(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """The weak view, then flip, rotation, noise, blur and axis mask; ``present`` (M,) tells who is there."""
        x = self.weak(x)
        if self._drawn():
            x = flip(x, self.layout)
        x = self.idiom.linear_map(x, rotation_matrices(rotation_angles(self.rng)), self.layout.centre)
        x = self._noisy(x, NOISE, present)
        if self._drawn():
            x = blur(x, self.rng.uniform(*SIGMA))
        if self._drawn():
            x = mask_axis(x, int(self.rng.integers(3)))
        return x

    def strong(self, x: np.ndarray, present: np.ndarray) -> np.ndarray:
        """What is added outside the actionlet: stronger noise, time interpolation, bone rescale."""
        x = self._noisy(x, STRONG_NOISE, present)
        if self._drawn():
            x = change_tempo(x, max(1, int(self.rng.uniform(*TEMPO) * x.shape[1])))
        factor = self.rng.uniform(*BONE_FACTOR, self.layout.num_joints).astype(np.float32)
        return rescale_bones(x, factor, self.layout)

    def views(self, x: np.ndarray, present: np.ndarray) -> dict[str, np.ndarray]:
        """Query and key (weak), act (normal) and non (strong on top of act) of one sequence, each (C, T, V, M)."""
        act = self.normal(x, present)
        return dict(query=self.weak(x), key=self.weak(x), act=act, non=self.strong(act, present))

    def batch(self, sequences: np.ndarray, present: np.ndarray) -> dict[str, np.ndarray]:
        """The views of (N, C, T, V, M) sequences, stacked as a loader does it: {view: (N, C, T, V, M)}."""
        views = [self.views(x, persons) for x, persons in zip(sequences, present, strict=True)]
        return {name: np.stack([view[name] for view in views]) for name in views[0]}

    def _drawn(self) -> bool:
        return self.rng.random() < CHANCE

    def _noisy(self, x: np.ndarray, std: float, present: np.ndarray) -> np.ndarray:
        return x + self.idiom.noise(x.shape, std, self.rng) * present if self._drawn() else x
