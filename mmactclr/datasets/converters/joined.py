"""Long sequences with labelled segments, made of the clips of an archive with idle gaps between them."""
import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.segments import format_segments
from mmactclr.datasets.splits import PARTS
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.utils import derive_seed

from .base import BaseConverter

# Share of a gap in which the last pose is held before the body moves to the first pose of what follows.
_HOLD = (.2, .8)


@CONVERTERS.register_module('joined')
class JoinedConverter(BaseConverter):
    """Long sequences joined from the clips of an archive, SRC, with idle gaps; for segmentation."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """How long, how many, which split."""
        parser.add_argument('--split', default='xsub', help='clips of different parts are never joined (default: xsub)')
        parser.add_argument('--group', default='subject', metavar='COLUMN',
                            help='clips of different values are never joined; default: subject, where there is one')
        parser.add_argument('--clips', type=int, nargs=2, default=(6, 12), metavar=('LEAST', 'MOST'),
                            help='of one sequence (default: 6 12)')
        parser.add_argument('--gap', type=float, nargs=2, default=(.5, 2.), metavar=('LEAST', 'MOST'),
                            help='seconds between two clips (default: 0.5 2)')
        parser.add_argument('--seed', type=int, default=0)

    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False, strict: bool = False,
                split: str = 'xsub', group: str = 'subject', clips: tuple[int, int] = (6, 12),
                gap: tuple[float, float] = (.5, 2.), seed: int = 0) -> SkeletonArchive:
        """Joins every clip once, in random order.

        In a gap the body holds the last pose of the clip before, then moves to the first pose of the clip behind along
        a smooth path; gaps are in no segment. Persons who are in only one of the clips are there in that one alone.

        Raises:
            DataError: The archive has no labels.
            ConfigError: The numbers are not in order, or the split does not exist.
        """
        source = SkeletonArchive.open(src)
        if not source.classes:
            raise DataError(f'{src} has no labels, there is nothing to tell clips apart by')
        if not 1 <= clips[0] <= clips[1] or not 0 <= gap[0] <= gap[1]:
            raise ConfigError(f'--clips {clips[0]} {clips[1]} --gap {gap[0]} {gap[1]}: expected the least before the '
                              'most, one clip and no gap at least')
        fps = source.meta.get('fps') or 30.
        rng = np.random.default_rng(derive_seed('joined', seed))
        groups = source.column(group) if group in source.columns else np.zeros(len(source))
        plan = [(part, members) for part in PARTS for members in _deal(source.split(split, part), groups, clips, rng)]
        extra = dict(segment_classes=list(source.classes), joined_from=str(src), split=split, seed=seed,
                     clips=list(clips), gap=list(gap))
        about: dict[str, Any] = {key: source.meta.get(key) for key in ('fps', 'unit', 'licence')}
        with ArchiveWriter(dst, source.layout, overwrite=overwrite, strict=strict, extra=extra,
                           source=f'joined from {source.meta.get("source", "")}', **about) as writer:
            parts = []
            for number, (part, members) in enumerate(self.track(plan, 'joining')):
                gaps = np.round(rng.uniform(*gap, len(members) + 1) * fps).astype(int)
                clips_of = [source.sequence(i) for i in members]
                keypoint, segments = join_clips(clips_of, source.labels[members], gaps, rng)
                columns = {group: groups[members[0]]} if group in source.columns else {}
                writer.add(keypoint, name=f'{part}_{number:04d}', segments=format_segments(segments), **columns)
                parts.append(part)
            return writer.finish({split: parts})


def _deal(positions: np.ndarray, groups: np.ndarray, clips: tuple[int, int],
          rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Clips of every long sequence, each clip once."""
    for value in np.unique(groups[positions]):
        left = rng.permutation(positions[groups[positions] == value])
        while len(left):
            count = int(rng.integers(clips[0], clips[1] + 1))
            yield left[:count]
            left = left[count:]


def join_clips(sequences: list[np.ndarray], labels: np.ndarray, gaps: np.ndarray,
               rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """One sequence of several clips, and where they lie in it.

    Args:
        sequences: (M_i, T_i, V, C) of every clip.
        labels: Class of every clip.
        gaps: Frames before the first clip, between two, and after the last.
        rng: Source of randomness.

    Returns:
        (M, T, V, C) float32 and (label, first frame, frame after the last) of every clip.
    """
    persons = max(len(clip) for clip in sequences)
    padded = [np.concatenate([clip, np.zeros((persons - len(clip), *clip.shape[1:]), clip.dtype)])
              for clip in sequences]
    pieces, segments, at = [], [], 0
    for number, clip in enumerate(padded):
        before = padded[number - 1][:, -1] if number else clip[:, 0]
        idle = _idle(before, clip[:, 0], int(gaps[number]), rng)
        segments.append((int(labels[number]), at + idle.shape[1], at + idle.shape[1] + clip.shape[1]))
        pieces += [idle, clip]
        at += idle.shape[1] + clip.shape[1]
    last = padded[-1][:, -1]
    pieces.append(_idle(last, last, int(gaps[-1]), rng))
    return np.concatenate(pieces, axis=1).astype(np.float32), segments


def _idle(before: np.ndarray, behind: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(M, frames, V, C): holds a pose (M, V, C), then moves to another; who is not in both is away."""
    held = int(rng.uniform(*_HOLD) * frames)
    share = np.clip((np.arange(frames) - held + 1) / max(frames - held + 1, 1), 0, 1)
    share = (share * share * (3 - 2 * share))[None, :, None, None]
    there = np.any(before, axis=(1, 2)) & np.any(behind, axis=(1, 2))
    idle = (1 - share) * before[:, None] + share * behind[:, None]
    return idle * there[:, None, None, None]
