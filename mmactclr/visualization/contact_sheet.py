"""Sequences as rows of key frames, one row for every stage."""
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmactclr.errors import ConfigError

from .actionlet import drawn_frames
from .bodies import draw_bodies, legend_handles
from .motion_clip import MotionClip
from .skeleton import save_png

# inches: cell of a skeleton, label at its left, title of a sequence, legend and caption
CELL, ROW, LABEL, TITLE, HEAD, FOOT = 1.05, 1.35, 1.45, .34, .45, .5
_GAP, _NUMBER = .06, .16
_DPI = 100
# letters of a note that fit beside the skeletons
_LETTERS = 26


@dataclass(frozen=True)
class SequenceRows:
    """A sequence and the stages of it that are shown.

    Attributes:
        title: Stands above its rows.
        clips: A row each.
        frames_per_second: Of the recording, if known.
    """

    title: str
    clips: Sequence[MotionClip]
    frames_per_second: float | None = None


def draw_contact_sheet(sequences: Sequence[SequenceRows], path: str | Path, num_frames: int = 8,
                       caption: str = '') -> Path:
    """Draw key frames side by side, spread evenly over time, and write a PNG.

    Within a row all skeletons have one scale and the view follows the bodies.

    Args:
        sequences: From the top down.
        path: PNG file to write.
        num_frames: Key frames in a row.
        caption: A few lines at the bottom.

    Returns:
        The path.

    Raises:
        ConfigError: If nothing is to be drawn or the file cannot be written.
    """
    clips = [clip for rows in sequences for clip in rows.clips]
    if not clips or num_frames < 1:
        raise ConfigError(f'contact sheet: found {len(clips)} rows of {num_frames} frames to draw, expected one or '
                          'more of each')
    width = LABEL + CELL * num_frames
    height = HEAD + FOOT + TITLE * len(sequences) + ROW * len(clips)
    figure = Figure(figsize=(width, height), dpi=_DPI)
    figure.legend(handles=legend_handles(clips), loc='upper left', bbox_to_anchor=(0, 1), ncols=9, frameon=False,
                  fontsize=8, handlelength=1.4, columnspacing=1.2)
    top = height - HEAD
    for rows in sequences:
        figure.text(.12 / width, (top - .2) / height, rows.title, fontsize=10, fontweight='bold', parse_math=False)
        top -= TITLE
        for clip in rows.clips:
            top -= ROW
            _draw_row(figure, clip, top, num_frames)
    figure.text(.12 / width, .1 / height, caption, fontsize=7, color='0.35', parse_math=False)
    return save_png(figure, path, dpi=_DPI)


def _draw_row(figure: Figure, clip: MotionClip, bottom: float, num_frames: int) -> None:
    """A row whose lower edge is ``bottom`` inches above that of the figure."""
    width, height = figure.get_size_inches()
    figure.text(.12 / width, (bottom + ROW / 2) / height, clip.label, fontsize=9, va='bottom', parse_math=False)
    notes = '\n'.join(line for note in clip.notes for line in textwrap.wrap(note, _LETTERS))
    figure.text(.12 / width, (bottom + ROW / 2 - .04) / height, notes, fontsize=7, color='0.35', va='top',
                parse_math=False)
    frames = drawn_frames(clip.num_frames, num_frames)
    for column, (frame, limits) in enumerate(zip(frames, clip.following_limits(frames), strict=True)):
        box = ((LABEL + CELL * column) / width, (bottom + _NUMBER) / height, (CELL - _GAP) / width,
               (ROW - _NUMBER - _GAP) / height)
        figure.add_artist(Rectangle(box[:2], *box[2:], transform=figure.transFigure, color='0.965', zorder=-1))
        ax = figure.add_axes(box)
        draw_bodies(ax, clip, limits).show(frame)
        text = str(frame) if np.any(clip.found[:, frame]) else f'{frame}: nobody'
        ax.text(.5, -.01, text, transform=ax.transAxes, ha='center', va='top', fontsize=7, color='0.4')
