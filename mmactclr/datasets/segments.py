"""Per-frame labels of untrimmed sequences, kept as text in the column ``segments`` of an archive.

One entry a labelled interval, ``label:start:end``, separated by ``;``: the class, the first frame and the frame after
the last, counted from 0. Intervals may overlap; where they do, the later entry wins.
"""
from collections.abc import Iterable

import numpy as np

from mmactclr.errors import DataError

#: A labelled interval: class, first frame, frame after the last.
Segment = tuple[int, int, int]


def format_segments(segments: Iterable[Segment]) -> str:
    """The text that :func:`frame_labels` reads; empty for a sequence without labelled intervals."""
    return ';'.join(f'{label}:{start}:{end}' for label, start, end in segments)


def frame_labels(segments: str, num_frames: int, background: int = -1) -> np.ndarray:
    """Label of every frame of a sequence.

    Args:
        segments: Entry of the column ``segments``, such as ``'3:10:50;7:40:90'``.
        num_frames: Length T of the sequence.
        background: Label of frames in no interval.

    Returns:
        (T,) int64; where intervals overlap, the later one wins.

    Raises:
        DataError: An entry is not ``label:start:end``, or lies outside the sequence.
    """
    labels = np.full(num_frames, background, dtype=np.int64)
    for entry in filter(None, segments.split(';')):
        parts = entry.split(':')
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise DataError(f'segments: {entry[:40]!r}, expected label:start:end, three whole numbers')
        label, start, end = map(int, parts)
        if not start < end <= num_frames:
            raise DataError(f'segments: {entry!r}, expected start < end <= {num_frames}, the length of the sequence')
        labels[start:end] = label
    return labels
