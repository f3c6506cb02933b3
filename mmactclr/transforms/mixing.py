"""Transforms that take from a partner: Skeleton AdaIN (its style) and Skeleton Mix (its parts).

Source: Lin et al., CVPR 2023, supplement (list of transformations), CutMix and ResizeMix of
skeletons after Chen et al., Contrastive Learning from Spatio-Temporal Mixed Skeleton Sequences
(SkeleMixCLR), 2022; the constants are those of the authors' public code. The partner is another
sequence of the batch, named by ``partner`` of the dict. Person by person: where the partner has no
such person, one's own stays as it is.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import TRANSFORMS
from mmactclr.structures.layouts import Layout

from .base import SkeletonTransform, choose, joint_index, per_sample
from .streams import from_bone, to_bone
from .temporal import sample_frames

_EPS = 1e-8


def _take_lengths(bones: Tensor, other: Tensor) -> Tensor:
    length = bones.norm(dim=-1, keepdim=True)
    wanted = other.norm(dim=-1, keepdim=True)
    # a bone without length has no direction to be stretched in
    return torch.where(length > _EPS, bones * (wanted / length.clamp_min(_EPS)), bones)


def adain_motion(x: Tensor, other: Tensor, eps: float = 1e-3) -> Tensor:
    """(x - mean_V) / (std_T + eps) · std_T(other) + mean_V(other), for the motion stream.

    The mean is over joints in each frame, the (biased) standard deviation over frames for each
    joint. Shapes (N, M, T, V, C).
    """
    std, other_std = (y.std(2, correction=0, keepdim=True) for y in (x, other))
    mean, other_mean = (y.mean(3, keepdim=True) for y in (x, other))
    return (x - mean) / (std + eps) * other_std + other_mean


def adain_bone(x: Tensor, other: Tensor) -> Tensor:
    """Every vector takes the length of the other's in that frame, for the bone stream.

    Shapes (N, M, T, V, C).
    """
    return _take_lengths(x, other)


def adain_joint(x: Tensor, other: Tensor, layout: Layout) -> Tensor:
    """Every bone takes the other's length of that frame; re-integrated from the own centre joint.

    Shapes (N, M, T, V, C).
    """
    bones = _take_lengths(to_bone(x, layout), to_bone(other, layout))
    return from_bone(bones, layout, x[..., layout.centre, :])


@TRANSFORMS.register_module()
class SkeletonAdaIN(SkeletonTransform):
    """Own motion in the partner's style, by the formula of the dict's ``stream``.

    See :func:`adain_joint`, :func:`adain_motion` and :func:`adain_bone`.

    Args:
        p: Probability for each sample.
        eps: Added to the own standard deviation of the motion stream, in the data's unit.
    """

    def __init__(self, p: float = 1., eps: float = 1e-3) -> None:
        self.p, self.eps = p, eps

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Restyle the chosen samples."""
        partner = self.partner(results)
        other = keypoint[partner]
        stream = results.get('stream', 'joint')
        if stream == 'motion':
            changed = adain_motion(keypoint, other, self.eps)
        elif stream == 'bone':
            changed = adain_bone(keypoint, other)
        else:
            changed = adain_joint(keypoint, other, results['layout'])
        picked = self.random(results).chance(self.p).to(keypoint.device)
        there = results['mask'][partner].to(keypoint.device) & picked[:, None]
        return torch.where(there[:, :, None, None, None], changed, keypoint)


def cyclic_partner(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Partner of every sequence of a batch by one cyclic roll, by 1 to n - 2 places (SkeleMixCLR).

    Args:
        n: Sequences in the batch.
        generator: torch generator on the CPU; the global one if None.

    Returns:
        Position of each partner, (n,) int64; of two sequences the other one, of one itself.
    """
    places = torch.randint(1, max(2, n - 1), (), generator=generator)
    return (torch.arange(n) + places) % n


def draw_block(layout: Layout, num_cells: int, parts: tuple[int, int], cells: tuple[int, int],
               generator: torch.Generator | None = None) -> Tensor:
    """Draw some body parts over a run of cells, one block for a whole batch (SkeleMixCLR).

    Args:
        layout: Layout of V joints, which tells the body parts; parts without joints are never drawn.
        num_cells: Cells T' of the feature map.
        parts: Least and most body parts; one part that has joints always remains where there are two.
        cells: Least and most cells of the run; at most all.
        generator: torch generator on the CPU; the global one if None.

    Returns:
        (T', V) bool, true inside the block.
    """
    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    members = [joints for joints in layout.parts.values() if joints]
    count = min(between(*parts), max(1, len(members) - 1))
    chosen = torch.randperm(len(members), generator=generator)[:count].tolist()
    length = min(between(*cells), num_cells)
    first = between(0, num_cells - length)
    block = torch.zeros(num_cells, layout.num_joints, dtype=torch.bool)
    block[first:first + length, [joint for part in chosen for joint in members[part]]] = True
    return block


def paste_block(x: Tensor, other: Tensor, block: Tensor, cell_frames: int) -> Tensor:
    """``other`` inside a block, ``x`` outside; a person whom the other one lacks is empty inside.

    Args:
        x: (N, M, T, V, C).
        other: (N, M, T, V, C) what is pasted, frame for frame.
        block: (T', V) bool, T' cells that cover the T frames.
        cell_frames: Frames of a cell; the last one may have fewer.

    Returns:
        (N, M, T, V, C).
    """
    inside = block.repeat_interleave(cell_frames, 0)[:x.shape[2], :, None]
    return torch.where(inside, other, x)


@TRANSFORMS.register_module()
class SkeletonMix(SkeletonTransform):
    """Put something of the partner into the sequence, in one of three ways drawn per sample.

    CutMix pastes some body parts of the partner over a run of cells of frames. ResizeMix pastes
    there the partner's first 2·rt frames resized to rt, the length of the run. Mixup adds
    whole sequences, lambda·own + (1 - lambda)·partner with lambda U(0, 1).

    Leaves in ``mix_mask`` (N, T, V) the share of own content: 0 where pasted, lambda under
    Mixup, 1 elsewhere.

    Args:
        cutmix: Probability of CutMix.
        resizemix: Probability of ResizeMix.
        mixup: Probability of Mixup; what the three leave is the probability of no mix.
        parts: Least and most body parts that are pasted.
        cells: Least and most cells that are pasted.
        cell_frames: Frames of a cell.
    """

    def __init__(self, cutmix: float = 0.5, resizemix: float = 0.25, mixup: float = 0.25,
                 parts: tuple[int, int] = (2, 3), cells: tuple[int, int] = (3, 5),
                 cell_frames: int = 4) -> None:
        if min(cutmix, resizemix, mixup) < 0 or cutmix + resizemix + mixup > 1 + 1e-6:
            raise ConfigError(f'SkeletonMix: cutmix, resizemix, mixup are {cutmix}, {resizemix}, '
                              f'{mixup}, expected probabilities that sum to at most 1')
        for name, (low, high) in dict(parts=parts, cells=cells).items():
            if not 1 <= low <= high:
                raise ConfigError(f'SkeletonMix: {name} is {(low, high)}, expected '
                                  '1 <= least <= most')
        if cell_frames < 1:
            raise ConfigError(f'SkeletonMix: cell_frames is {cell_frames}, expected >= 1')
        self.cutmix, self.resizemix, self.mixup = cutmix, resizemix, mixup
        self.parts, self.cells, self.cell_frames = tuple(parts), tuple(cells), cell_frames

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Mix every sample with its partner."""
        random, partner = self.random(results), self.partner(results)
        t = keypoint.shape[2]
        kind, lam = random.uniform(), random.uniform()
        start, stop = self._window(random, t)
        joints = self._joints(random, results['layout'])
        resizes = (kind >= self.cutmix) & (kind < self.cutmix + self.resizemix)
        mixes = (kind >= self.cutmix + self.resizemix) & (
            kind < self.cutmix + self.resizemix + self.mixup)

        frames = torch.arange(t)
        inside = (frames >= start[:, None]) & (frames < stop[:, None])
        own = 1 - (inside[:, :, None] & joints[:, None]).float()
        own = torch.where(mixes[:, None, None], lam[:, None, None], own)
        own[kind >= self.cutmix + self.resizemix + self.mixup] = 1

        other = keypoint[partner]
        # twice the speed from the partner's first frame on: half-pixel centres of 2·rt -> rt
        position = (2 * (frames - start[:, None]) + 0.5).to(keypoint)
        other = choose(resizes, sample_frames(other, position), other)

        own = per_sample(own, keypoint)
        results['mix_mask'] = own
        own = own[:, None, :, :, None]
        there = results['mask'][partner].to(keypoint.device)[:, :, None, None, None]
        return torch.where(there, own * keypoint + (1 - own) * other, keypoint)

    def _window(self, random: Any, num_frames: int) -> tuple[Tensor, Tensor]:
        """First and one past the last frame of a run of cells, (N,) each."""
        total = -(-num_frames // self.cell_frames)
        count = random.integers(self.cells[0], self.cells[1] + 1).clamp_max(total)
        first = (random.uniform() * (total - count + 1)).long().minimum(total - count)
        return first * self.cell_frames, (first + count) * self.cell_frames

    def _joints(self, random: Any, layout: Layout) -> Tensor:
        """Joints of randomly chosen body parts, (N, V) bool."""
        total = len(layout.part_names)
        count = random.integers(self.parts[0], self.parts[1] + 1)
        chosen = random.permutation(total) < count[:, None]
        return chosen[:, joint_index(tuple(layout.part_of), chosen.device)]
