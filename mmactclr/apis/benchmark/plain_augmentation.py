"""Augmentation the plain way: one sequence at a time, in numpy, as public skeleton code does it.

What the batched transforms of :mod:`mmactclr.transforms` are timed against. The transformations, their constants and
probabilities are those of the paper's preset (``configs/_base_/models/actclr_paper.py``); every function is vectorised
over axes, frames, joints and persons. A sequence is (C, T, V, M) float32, the layout of the public code.
"""
from collections.abc import Mapping

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


def turn(x: np.ndarray, matrix: np.ndarray, centre: int) -> np.ndarray:
    """Multiply positions relative to the centre joint, as row vectors, with a (C, C) matrix: (C, T, V, M)."""
    root = x[:, :, centre:centre + 1]
    moved = matrix.T @ (x - root).reshape(len(x), -1)
    return moved.reshape(x.shape) + root


def shear_matrix(rng: Generator) -> np.ndarray:
    """Ones on the diagonal, U(-0.5, 0.5) elsewhere, (3, 3)."""
    matrix = rng.uniform(-SHEAR, SHEAR, (3, 3)).astype(np.float32)
    np.fill_diagonal(matrix, 1)
    return matrix


def rotation_matrix(angles: np.ndarray) -> np.ndarray:
    """Turn about x, then y, then z, for row vectors, by (3,) radians: (3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return (about_x @ about_y @ about_z).astype(np.float32)


def rotation_angles(rng: Generator) -> np.ndarray:
    """One axis by U(0, 30) degrees, the two others by U(0, 1), (3,) in radians."""
    limits = np.full(3, MAX_OTHER_ANGLE)
    limits[rng.integers(3)] = MAX_MAIN_ANGLE
    return np.deg2rad(rng.uniform(0, limits))


def flip(x: np.ndarray, layout: Layout) -> np.ndarray:
    """Exchange left and right joints, (C, T, V, M)."""
    return x[:, :, list(layout.flip_index)]


def add_noise(x: np.ndarray, noise: np.ndarray, std: float, present: np.ndarray) -> np.ndarray:
    """Add standard normal noise times ``std`` to the persons that are there, (M,) bool: (C, T, V, M)."""
    return x + noise * np.float32(std) * present


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


def weak(x: np.ndarray, layout: Layout, rng: Generator) -> np.ndarray:
    """The weak view: temporal crop and shear."""
    x = crop(x, rng.integers(0, 2 * (x.shape[1] // PAD_DIVISOR) + 1))
    return turn(x, shear_matrix(rng), layout.centre)


def normal(x: np.ndarray, present: np.ndarray, layout: Layout, rng: Generator) -> np.ndarray:
    """The view that keeps the meaning: the weak one, flip, rotation, noise, blur and axis mask."""
    x = weak(x, layout, rng)
    if rng.random() < CHANCE:
        x = flip(x, layout)
    x = turn(x, rotation_matrix(rotation_angles(rng)), layout.centre)
    if rng.random() < CHANCE:
        x = add_noise(x, rng.standard_normal(x.shape, np.float32), NOISE, present)
    if rng.random() < CHANCE:
        x = blur(x, rng.uniform(*SIGMA))
    if rng.random() < CHANCE:
        x = mask_axis(x, rng.integers(3))
    return x


def strong(x: np.ndarray, present: np.ndarray, layout: Layout, rng: Generator) -> np.ndarray:
    """What is added outside the actionlet: more noise, time interpolation, bone rescale."""
    if rng.random() < CHANCE:
        x = add_noise(x, rng.standard_normal(x.shape, np.float32), STRONG_NOISE, present)
    if rng.random() < CHANCE:
        x = change_tempo(x, max(1, int(rng.uniform(*TEMPO) * x.shape[1])))
    factor = rng.uniform(*BONE_FACTOR, layout.num_joints).astype(np.float32)
    return rescale_bones(x, factor, layout)


def four_views(x: np.ndarray, present: np.ndarray, layout: Layout, rng: Generator) -> dict[str, np.ndarray]:
    """Query and key (weak), act (normal) and non (strong on top of act) of one sequence, each (C, T, V, M)."""
    act = normal(x, present, layout, rng)
    return dict(query=weak(x, layout, rng), key=weak(x, layout, rng), act=act,
                non=strong(act, present, layout, rng))


def augment_batch(sequences: np.ndarray, present: np.ndarray, layout: Layout,
                  rng: Generator) -> Mapping[str, np.ndarray]:
    """The views of every sequence, stacked as a loader does it: {view: (N, C, T, V, M)}.

    Args:
        sequences: (N, C, T, V, M) float32.
        present: Persons that are there, (N, M) bool.
        layout: Joints of the sequences.
        rng: Source of all draws.
    """
    views = [four_views(x, persons, layout, rng) for x, persons in zip(sequences, present, strict=True)]
    return {name: np.stack([view[name] for view in views]) for name in views[0]}
