"""Readers of the text files of PKU-MMD.

A skeleton file has one line a frame, 150 numbers: x y z of the 25 joints of two bodies, in metres; an absent body is
zero. A label file has one line an interval: ``label,start,end,confidence``, labels from 1, frames from 0, ``end`` not
included. A split file lists videos under the headings ``Training videos:`` and ``Validataion videos:`` (sic).
"""
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmactclr.datasets.pkummd_classes import PKUMMD_CLASSES
from mmactclr.datasets.segments import format_segments

from .file_converter import Clip
from .flat import without_absent
from .table import parse_table
from .text import fault, shown

_BODIES, _JOINTS = 2, 25
# The longest recording is some thousand frames long.
_NUMBER = re.compile(rb'[0-9]{1,7}')
_HEADING = re.compile(rb'\s*(train|valid|test)[a-z]*( [a-z]+)?\s*:', re.IGNORECASE)

CUT = 'interval cut at the end of the video'
EMPTY = 'intervals without frames left out'
OVERLAP = 'intervals that overlap; the later one wins'


class Interval(NamedTuple):
    """A labelled part of a video: position in the classes, first frame, frame after the last, confidence."""

    label: int
    start: int
    end: int
    confidence: int


def parse_skeletons(content: bytes, file: object) -> np.ndarray:
    """Joints of a skeleton file, (2, T, 25, 3) float32 metres, camera coordinates; an absent body is zero.

    Raises:
        DataError: A line is not 150 numbers; the message names file and line.
    """
    table = parse_table(content, file, _BODIES * _JOINTS * 3, 'the joints of two bodies')
    return table.astype(np.float32).reshape(-1, _BODIES, _JOINTS, 3).transpose(1, 0, 2, 3)


def parse_labels(content: bytes, file: object) -> list[Interval]:
    """Intervals of a label file, in its order.

    Raises:
        DataError: A line is not ``label,start,end,confidence``, or there is none; the message names file and line.
    """
    intervals = []
    for i, line in enumerate(content.splitlines()):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split(b',')]
        if len(words) != len(Interval._fields) or not all(map(_NUMBER.fullmatch, words)):
            raise fault(file, i, f'{shown(line)}, expected label,start,end,confidence, four whole numbers')
        label, start, end, confidence = map(int, words)
        if not 1 <= label <= len(PKUMMD_CLASSES):
            raise fault(file, i, f'{shown(line)}: label {label}, expected 1 to {len(PKUMMD_CLASSES)}')
        intervals.append(Interval(label - 1, start, end, confidence))
    if not intervals:
        raise fault(file, 0, 'no line in the file, expected label,start,end,confidence')
    return intervals


def parse_split(content: bytes, file: object, video: re.Pattern[str]) -> dict[str, str]:
    """``train`` or ``test`` of every video that a split file lists; validation videos of the authors test.

    Args:
        content: The whole file.
        file: Its name, for messages.
        video: Pattern of the name of a video.

    Raises:
        DataError: A word is no video, is under no heading or under both; the message names file and line.
    """
    listed: dict[str, str] = {}
    part = ''
    for i, line in enumerate(content.splitlines()):
        heading = _HEADING.match(line)
        if heading:
            part = 'train' if heading.group(1).lower() == b'train' else 'test'
            line = line[heading.end():]
        for word in re.split(rb'[,\s]+', line):
            name = word.decode('ascii', 'replace')
            if not name:
                continue
            if not part or not video.fullmatch(name):
                raise fault(file, i, f'{shown(word)}, expected names of videos under "Training videos:" or '
                            '"Validation videos:"')
            if listed.setdefault(name, part) != part:
                raise fault(file, i, f'video {name} is listed under both headings')
    if set(listed.values()) != {'train', 'test'}:
        raise fault(file, 0, 'expected videos under both "Training videos:" and "Validation videos:"')
    return listed


def video_clips(skeletons: bytes, labels: bytes, file: object, label_file: object,
                columns: Mapping[str, Any]) -> list[Clip]:
    """One clip a labelled interval, named ``VIDEO_start_end``.

    An interval without frames (reversed, or behind the end of the video) gives a clip without frames, so that the
    archive counts and names it.

    Args:
        skeletons: Content of the skeleton file.
        labels: Content of the label file.
        file: Name of the skeleton file, for messages.
        label_file: Name of the label file, for messages.
        columns: Columns of all clips, ``video`` among them.

    Raises:
        DataError: A file is damaged; the message names file and line.
    """
    joints, intervals = parse_skeletons(skeletons, file), parse_labels(labels, label_file)
    names = _clip_names(str(columns['video']), intervals)
    clips = []
    for name, (label, start, end, confidence) in zip(names, intervals, strict=True):
        # a copy, so that a clip does not hold the memory of its video
        part = without_absent(joints[:, start:max(start, end)]).copy()
        notes = (CUT,) if start < joints.shape[1] < end else ()
        clips.append(Clip(part, name, label, dict(columns, start=start, end=end, confidence=confidence), notes))
    return clips


def _clip_names(video: str, intervals: Sequence[Interval]) -> list[str]:
    """Names of the clips; two actions at the same time are told apart by the number of the action."""
    times = Counter((interval.start, interval.end) for interval in intervals)
    return [f'{video}_{start}_{end}' + (f'_{label + 1}' if times[start, end] > 1 else '')
            for label, start, end, _ in intervals]


def video_sequence(skeletons: bytes, labels: bytes, file: object, label_file: object,
                   columns: Mapping[str, Any]) -> list[Clip]:
    """The untrimmed video as one clip; its intervals are in the column ``segments``.

    Args:
        skeletons: Content of the skeleton file.
        labels: Content of the label file.
        file: Name of the skeleton file, for messages.
        label_file: Name of the label file, for messages.
        columns: Columns of the clip, ``video`` among them.

    Raises:
        DataError: A file is damaged; the message names file and line.
    """
    joints, intervals = parse_skeletons(skeletons, file), parse_labels(labels, label_file)
    length = joints.shape[1]
    kept = [(label, start, min(end, length)) for label, start, end, _ in intervals if start < min(end, length)]
    notes = [note for note, holds in (
        (CUT, any(start < length < end for _, start, end, _ in intervals)), (EMPTY, len(kept) < len(intervals)),
        (OVERLAP, _overlap(kept))) if holds]
    return [Clip(without_absent(joints), str(columns['video']), -1, dict(columns, segments=format_segments(kept)),
                 notes)]


def _overlap(segments: Sequence[tuple[int, int, int]]) -> bool:
    spans = sorted((start, end) for _, start, end in segments)
    return any(after[0] < before[1] for before, after in zip(spans, spans[1:], strict=False))
