"""From bodies in frames to persons: tracking, noise and order, as the field does it for NTU RGB+D.

A Kinect sees up to six bodies, some of them furniture, gives a person who was lost a new tracking id, and lists bodies
in any order. Public code has settled on three ways:

================================  =====================================================
ST-GCN, CrosSCLR, AimCLR, ActCLR  ``track='slot'``: the first two of every frame
2s-AGCN, Shift-GCN                ``track='slot', order='energy'``: of four, the two with the largest spread
HCN, CTR-GCN                      ``order='motion', denoise=True``: by id, without noise
================================  =====================================================

The default follows ids, so that bodies that change places in the file stay who they are.
"""
from collections.abc import Sequence

import numpy as np

from .ntu_skeleton import NUM_JOINTS, Observations

TRACKS, ORDERS = ('id', 'slot'), ('appearance', 'energy', 'motion')
# Constants of the HCN / CTR-GCN preparation: a body seen in so few frames is noise,
NOISE_FRAMES = 11
# as is one that is wider than this share of its height
NOISE_SPREAD = 0.8
# in at least this share of its frames.
NOISE_SHARE = 0.69754
NOISE = 'bodies that are noise left out'
# 2s-AGCN looks at no more bodies than these.
_SLOTS = 4


def persons_of(seen: Observations, max_persons: int = 2, track: str = 'id', order: str = 'appearance',
               denoise: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """Persons of a recording.

    Args:
        seen: Bodies in frames.
        max_persons: Persons to keep.
        track: ``id`` makes a person of a tracking id; one that appears when another has left goes on as that person.
            ``slot`` makes a person of a position in the frame.
        order: Who comes first: ``appearance`` in the file, ``energy`` (the sum of the standard deviations of x, y and
            z) or ``motion`` (the sum of their variances), largest first.
        denoise: Leave out bodies that were seen in 11 frames or fewer, or that are wide rather than high, as long as
            another is left.

    Returns:
        (M, T, 25, 3) float32 with 1 to ``max_persons`` persons, zero where a person was not seen, and what was mended.
    """
    groups = seen.body if track == 'id' else seen.slot
    tracks = [np.flatnonzero(groups == k) for k in range(int(groups.max(initial=-1)) + 1)]
    if track == 'slot' and order != 'appearance':
        tracks = tracks[:_SLOTS]
    notes: tuple[str, ...] = ()
    motion = [_motion(seen.joints[rows]) for rows in tracks] if denoise or order == 'motion' else []
    if denoise:
        kept, motion = _without_noise(seen, tracks, motion)
        if len(kept) < len(tracks):
            notes = (NOISE,)
        tracks = [tracks[k] for k in kept]
    if order != 'appearance':
        amount = motion if order == 'motion' else [_energy(seen.joints[rows]) for rows in tracks]
        tracks = [tracks[k] for k in sorted(range(len(tracks)), key=lambda k: -amount[k])]
    persons = np.zeros((max_persons, seen.num_frames, NUM_JOINTS, 3), np.float32)
    taken = np.zeros((max_persons, seen.num_frames), bool)
    for rows in tracks:
        _place(persons, taken, seen, rows)
    last = max(np.flatnonzero(taken.any(1)), default=0)
    return persons[:last + 1], notes


def _place(persons: np.ndarray, taken: np.ndarray, seen: Observations, rows: np.ndarray) -> None:
    """Gives a track to the first person who was not there from its first to its last frame."""
    frames = seen.frame[rows]
    for person, busy in zip(persons, taken, strict=True):
        if not busy[frames[0]:frames[-1] + 1].any():
            # of an id that a frame lists twice the first counts
            frames, first = np.unique(frames, return_index=True)
            person[frames] = seen.joints[rows[first]]
            busy[frames] = True
            return


def _motion(joints: np.ndarray) -> float:
    """Sum of the variances of x, y and z over all joints and frames, (R, V, 3)."""
    return float(joints.reshape(-1, 3).var(0, dtype=np.float64).sum()) if len(joints) else 0.


def _energy(joints: np.ndarray) -> float:
    """Sum of the standard deviations of x, y and z, over the frames in which anything is there."""
    there = joints[joints.sum((1, 2)) != 0]
    return float(there.reshape(-1, 3).std(0, dtype=np.float64).sum()) if len(there) else 0.


def _without_noise(seen: Observations, tracks: Sequence[np.ndarray],
                   motion: Sequence[float]) -> tuple[list[int], list[float]]:
    """Tracks that are left, and their motion without the frames in which they are too wide."""
    left = [k for k, rows in enumerate(tracks) if len(rows) > NOISE_FRAMES]
    if not left:
        return list(range(len(tracks))), list(motion)
    amount = {k: motion[k] for k in left}
    for k in list(left):
        if len(left) == 1:
            break
        joints = seen.joints[tracks[k]]
        width, height = np.ptp(joints[..., 0], axis=1), np.ptp(joints[..., 1], axis=1)
        good = width <= NOISE_SPREAD * height
        if 1 - good.mean() >= NOISE_SHARE:
            left.remove(k)
        elif not good.all():
            amount[k] = min(amount[k], _motion(joints[good]))
    return left, [amount[k] for k in left]
