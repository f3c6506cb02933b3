"""The built-in synthetic set: parametric actions by other bodies, seen from other sides.

Nothing of it is downloaded; a seed gives the same set anywhere. What makes it hard is a
:class:`Nuisance`, and nothing else.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mmactclr.datasets.synthetic_actions import (
    ACTIONS,
    SINGLE_LIMB_ACTIONS,
    Action,
    Angles,
    Clock,
)
from mmactclr.datasets.synthetic_body import (
    ANGLE_INDEX,
    ANGLES,
    CHEST,
    LAYOUT,
    LIMB_ANGLES,
    draw_bones,
    forward_kinematics,
    mirror,
    rotation,
    stand_on_floor,
)
from mmactclr.errors import ConfigError

FPS = 30
USED_LIMB = .3
"""Share of the range of rest postures that is left to a limb which the action uses."""
MOVING_SPEED = .15
"""A joint moves where its action alone drives it faster than this, metres per second."""

_POSTURE = {
    'root_pitch': (-5, 5), 'root_roll': (-4, 4), 'spine_flex': (-8, 15), 'spine_side': (-8, 8),
    'spine_twist': (-20, 20), 'neck_flex': (-15, 25), 'neck_turn': (-35, 35),
    'shoulder_flex': (-20, 40), 'shoulder_abduct': (0, 40), 'shoulder_twist': (-20, 60),
    'elbow_flex': (0, 100), 'wrist_flex': (-20, 30), 'hip_flex': (-10, 20), 'hip_abduct': (-2, 14),
    'hip_twist': (-25, 10), 'knee_flex': (0, 25), 'ankle_flex': (-5, 5)}
"""Postures a limb at rest may take, degrees; a right and a left limb have the same range."""


@dataclass(frozen=True)
class Nuisance:
    """All that varies within a class.

    Attributes:
        yaw: Direction the body faces, +- degrees; 180 is the whole circle.
        pitch: Camera pitch, +- degrees; every camera has its own part of the range.
        height: Height of a subject, +- relative.
        proportion: Length of trunk, arms, legs and width of shoulders and hips, each, +- relative.
        speed: Slowest and fastest tempo, times the nominal one.
        amplitude: Smallest and largest movement, times the nominal one.
        style: How freely an action is carried out, such as the plane of a raise; at most 1.
        phase: Where a periodic action may begin, share of its cycle.
        idle: Longest idle time before and, drawn apart, after the action, seconds.
        posture: Posture of limbs that the action does not use, drawn per sequence, times the
            ranges of human rest postures; those it does use take ``USED_LIMB`` of that.
        habit: The same for the habitual posture of a subject, on top.
        sway: Slow unrelated movement of every joint angle, two oscillations of up to so many
            degrees each.
        noise: Standard deviation of joint positions, metres, per frame and axis.
        lost: Share of joints lost for part of a sequence; a lost joint stays where it was last
            seen.
        frames: Fewest and most frames of a sequence, at 30 frames a second.
    """

    yaw: float = 180.
    pitch: float = 15.
    height: float = .15
    proportion: float = .10
    speed: tuple[float, float] = (.6, 1.6)
    amplitude: tuple[float, float] = (.7, 1.3)
    style: float = .3
    phase: float = 1.
    idle: float = 1.2
    posture: float = 2.
    habit: float = 1.
    sway: float = 3.
    noise: float = .01
    lost: float = .05
    frames: tuple[int, int] = (40, 120)


@dataclass
class SyntheticSet:
    """Labelled sequences with ground truth of what moves.

    Attributes:
        sequences: Per sequence float32 (M, T, 25, 3) joint positions seen by a camera, metres.
        moving: Per sequence bool (M, T, 25), joints that the action moves against the layout's
            centre, by more than ``MOVING_SPEED``.
        label: (N,) int64 positions in ``classes``.
        subject: (N,) int64.
        camera: (N,) int64.
        classes: Names.
        splits: Per name (N,) array of 'train' and 'test'.
    """

    sequences: list[np.ndarray]
    moving: list[np.ndarray]
    label: np.ndarray
    subject: np.ndarray
    camera: np.ndarray
    classes: tuple[str, ...]
    splits: dict[str, np.ndarray] = field(default_factory=dict)

    layout = LAYOUT

    def __len__(self) -> int:
        return len(self.sequences)


@dataclass(frozen=True)
class _Subject:
    """One person's bones, ways and habits."""

    bones: np.ndarray
    posture: np.ndarray
    tempo: float
    size: float


_LOW, _HIGH = np.array([_POSTURE.get(angle.removeprefix('right_').removeprefix('left_'), (0, 0))
                        for angle in ANGLES], dtype=float).T


def _draw_subject(rng: np.random.Generator, nuisance: Nuisance) -> _Subject:
    return _Subject(draw_bones(rng, nuisance.height, nuisance.proportion),
                    nuisance.habit * rng.uniform(_LOW, _HIGH), *rng.uniform(0, 1, 2))


def _between(limits: tuple[float, float], habit: float, rng: np.random.Generator) -> float:
    """Geometric draw between limits, halfway to a subject's habit."""
    low, high = np.log(limits)
    return float(np.exp(low + (high - low) * (habit + rng.uniform()) / 2))


def _draw_clock(action: Action, subject: _Subject, nuisance: Nuisance,
                rng: np.random.Generator) -> Clock:
    fewest, most = nuisance.frames
    speed = _between(nuisance.speed, subject.tempo, rng)
    cycle = action.seconds / speed * FPS
    low, high = action.repetitions
    repetitions = min(int(rng.integers(low, high + 1)), max(1, int(most / cycle)))
    duration = min(cycle * repetitions, most)
    head, tail = rng.uniform(0, nuisance.idle * FPS, 2)
    room = np.clip(duration + head + tail, fewest, most) - duration
    head *= room / max(head + tail, 1e-6)
    frame = np.arange(round(duration + room))
    return Clock(progress=np.clip((frame - head) / duration, 0, 1), repetitions=float(repetitions),
                 phase=rng.uniform(0, 2 * np.pi * nuisance.phase),
                 amplitude=_between(nuisance.amplitude, subject.size, rng),
                 style=nuisance.style * rng.uniform(-1, 1, 4))


def _free(action: Action) -> np.ndarray:
    """Share (A,) of the range of rest postures that each angle has during an action."""
    free = np.ones(len(ANGLES))
    for limb in action.limbs:
        free[[ANGLE_INDEX[angle] for angle in LIMB_ANGLES[limb]]] = USED_LIMB
    return free


def _draw_rest(action: Action, subject: _Subject, nuisance: Nuisance,
               rng: np.random.Generator) -> np.ndarray:
    """Posture (A,) in which a person stands before the action begins, degrees."""
    return subject.posture + nuisance.posture * _free(action) * rng.uniform(_LOW, _HIGH)


def _draw_sway(num_frames: int, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Sum of two slow oscillations of every angle, (T, A) degrees."""
    hertz, size = rng.uniform(.1, .5, (2, 1, len(ANGLES))), rng.uniform(0, 1, (2, 1, len(ANGLES)))
    turns = hertz * np.arange(num_frames)[:, None] / FPS + rng.uniform(0, 1, hertz.shape)
    return degrees * (size * np.sin(2 * np.pi * turns)).sum(0)


def _perform(driven: Angles, rest: np.ndarray, sway: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (T, A) of a person, without and with what does not belong to the action."""
    angles = np.broadcast_to(rest, sway.shape).copy()
    for name, degrees in driven.items():
        angles[:, ANGLE_INDEX[name]] += degrees
    return angles, angles + sway


def moving_joints(position: np.ndarray) -> np.ndarray:
    """Which joints of clean positions (T, V, 3) move against the centre joint, bool (T, V)."""
    speed = np.linalg.norm(np.gradient(position - position[:, CHEST:CHEST + 1], axis=0), axis=-1)
    return speed * FPS > MOVING_SPEED


def _lose_joints(keypoint: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Freeze some joints of (M, T, V, 3) in place for 5 to 20 frames."""
    for person, joint in np.argwhere(rng.uniform(size=keypoint.shape[::2][:2]) < share):
        start = rng.integers(1, keypoint.shape[1])
        stop = start + rng.integers(5, 21)
        keypoint[person, start:stop, joint] = keypoint[person, start - 1, joint]


def _film(bodies: list[np.ndarray], elevation: float, nuisance: Nuisance,
          rng: np.random.Generator) -> np.ndarray:
    """Camera coordinates (M, T, V, 3) of bodies (T, V, 3) that stand on the floor."""
    zero = np.zeros(1)
    tilt = rotation(np.deg2rad([nuisance.pitch * elevation]), zero, zero)[0]
    place = np.array([rng.uniform(-.6, .6), -1., 0.])
    keypoint = (np.stack(bodies) + place) @ tilt.T + (0, 0, rng.uniform(2.5, 4.))
    keypoint += rng.normal(0, nuisance.noise, keypoint.shape)
    _lose_joints(keypoint, nuisance.lost, rng)
    return keypoint.astype(np.float32)


def _record(action: Action, subjects: tuple[_Subject, _Subject], elevation: float,
            nuisance: Nuisance, rng: np.random.Generator,
            on_floor: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """One sequence (M, T, V, 3) and its moving joints (M, T, V)."""
    clock = _draw_clock(action, subjects[0], nuisance, rng)
    yaw, gap = rng.uniform(-nuisance.yaw, nuisance.yaw), rng.uniform(.8, 1.1)
    forward = -np.array([np.sin(np.deg2rad(yaw)), 0, np.cos(np.deg2rad(yaw))])
    bodies, moving = [], []
    for drive, subject, turn in zip((action.drive, action.partner), subjects, (0, 180),
                                    strict=True):
        if drive is None:
            continue
        rest = _draw_rest(action, subject, nuisance, rng)
        rest[ANGLE_INDEX['root_yaw']] = yaw + turn
        clean, seen = _perform(drive(clock), rest,
                               _draw_sway(len(clock.progress), nuisance.sway, rng))
        body = forward_kinematics(seen, subject.bones)
        bodies.append((stand_on_floor(body) if on_floor else body) + gap * forward * (turn > 0))
        moving.append(moving_joints(forward_kinematics(clean, subject.bones)))
    return _film(bodies, elevation, nuisance, rng), np.stack(moving)


def make_synthetic(num_subjects: int = 12, repeats: int = 4, num_cameras: int = 3, seed: int = 0,
                   nuisance: Nuisance | None = None) -> SyntheticSet:
    """Generate the set.

    Args:
        num_subjects: Persons; the first two thirds are the training subjects of split ``xsub``.
        repeats: Sequences of every subject and class, from the cameras in turn.
        num_cameras: Cameras; all but the last are the training cameras of split ``xview``.
        seed: The same seed gives the same set; a sequence does not depend on how many there are.
        nuisance: What varies within a class; defaults to ``Nuisance()``.

    Returns:
        num_subjects * len(ACTIONS) * repeats sequences, by subject, class and repeat.

    Raises:
        ConfigError: If there are fewer than two subjects or cameras, or no repeats.
    """
    if num_subjects < 2 or num_cameras < 2 or repeats < 1:
        raise ConfigError(
            f'num_subjects={num_subjects}, num_cameras={num_cameras}, repeats={repeats}: expected '
            'at least 2, 2 and 1, so that both sides of every split have sequences')
    nuisance = nuisance or Nuisance()
    people = [_draw_subject(np.random.default_rng((seed, 0, i)), nuisance)
              for i in range(num_subjects)]
    elevations = np.linspace(-2 / 3, 2 / 3, num_cameras)
    recorded, columns = [], []
    for subject in range(num_subjects):
        for label, action in enumerate(ACTIONS):
            for repeat in range(repeats):
                rng = np.random.default_rng((seed, 1, subject, label, repeat))
                camera = (subject + label + repeat) % num_cameras
                elevation = elevations[camera] + rng.uniform(-1 / 3, 1 / 3)
                pair = people[subject], people[(subject + 1) % num_subjects]
                recorded.append(_record(action, pair, elevation, nuisance, rng))
                columns.append((label, subject, camera))
    labels, subjects, cameras = np.array(columns, dtype=np.int64).T
    splits = {'xsub': np.where(subjects < num_subjects * 2 // 3, 'train', 'test'),
              'xview': np.where(cameras < num_cameras - 1, 'train', 'test')}
    return SyntheticSet([s for s, _ in recorded], [m for _, m in recorded], labels, subjects,
                        cameras, tuple(action.name for action in ACTIONS), splits)


def single_limb_sequences(n: int, seed: int = 0,
                          nuisance: Nuisance | None = None) -> SyntheticSet:
    """Sequences of one person in which one limb moves and all else is still.

    Args:
        n: Number of sequences before mirroring; the limbs take turns.
        seed: The same seed gives the same sequences.
        nuisance: What varies; by default the set's own, without sway and lost joints.

    Returns:
        2n sequences, the second n the mirror images of the first (x negated, left and right
        exchanged); ``classes`` are the layout's arms and legs, ``label`` the limb that moves.
    """
    nuisance = nuisance or Nuisance(sway=0, lost=0)
    classes = tuple(SINGLE_LIMB_ACTIONS)
    recorded, labels = [], []
    for i in range(n):
        rng = np.random.default_rng((seed, 2, i))
        actions = SINGLE_LIMB_ACTIONS[classes[i % len(classes)]]
        subject = _draw_subject(rng, nuisance)
        recorded.append(_record(actions[rng.integers(len(actions))], (subject, subject),
                                rng.uniform(-1, 1), nuisance, rng, on_floor=False))
        labels.append(i % len(classes))
    swap = {'right': 'left', 'left': 'right'}
    other_side = [classes.index(f'{swap[side]}_{limb}')
                  for side, limb in (name.split('_') for name in classes)]
    flip = list(LAYOUT.flip_index)
    label = np.array(labels + [other_side[i] for i in labels], dtype=np.int64)
    return SyntheticSet([s for s, _ in recorded] + [mirror(s) for s, _ in recorded],
                        [m for _, m in recorded] + [m[..., flip] for _, m in recorded],
                        label, np.tile(np.arange(n), 2), np.zeros(2 * n, np.int64), classes)
