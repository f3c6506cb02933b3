"""A sequence and transformed copies of it, each with its actionlet, and where the actionlets agree."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout

from .actionlet import drawn_frames, frame_weights
from .heat_maps import joint_order
from .skeleton import draw_skeleton, save_png, view_limits

#: What a cell of the overlap means: neither, the original alone, the copy alone, both, not shown by the copy.
NEITHER, ORIGINAL, COPY, BOTH, HIDDEN = range(5)
_COLOURS = {NEITHER: '#f7f7f7', ORIGINAL: '#4a90c4', COPY: '#e9a23b', BOTH: '#3b0f70', HIDDEN: '#d0d0d0'}
_LABELS = {BOTH: 'in both', ORIGINAL: 'in the original alone', COPY: 'in the copy alone', NEITHER: 'in neither',
           HIDDEN: 'not in the copy'}
# inches: label, skeleton, names of parts, map; a row, space at the top and the bottom
_LABEL, _CELL, _NAMES, _MAP, _ROW, _HEAD, _FOOT = 1.5, .8, .75, 1.5, 1.05, .35, .75
_DPI = 100


@dataclass(frozen=True)
class OverlapRow:
    """A copy of a sequence.

    Attributes:
        title: What was done to it.
        joints: (T, V, C) one person of the copy.
        actionlet: (T', V) raw actionlet of the copy, as it was found.
        overlap: (T', V) one of NEITHER, ORIGINAL, COPY, BOTH and HIDDEN for every cell of the original.
        note: What else there is to say, such as the IoU.
    """

    title: str
    joints: np.ndarray
    actionlet: np.ndarray
    overlap: np.ndarray
    note: str = ''


def overlap_cells(original: np.ndarray, copy: np.ndarray) -> np.ndarray:
    """Compare two actionlets (T', V) by what lies above their means; rows of ``copy`` that are NaN are hidden."""
    shown = np.isfinite(copy).all(1)
    found = np.full(original.shape, HIDDEN)
    first, second = original[shown], copy[shown]
    if shown.any():
        found[shown] = (first > first.mean()) * ORIGINAL + (second > second.mean()) * COPY
    return found


def draw_overlap(rows: Sequence[OverlapRow], layout: str | Mapping[str, Any] | Layout, path: str | Path,
                 title: str = '', num_frames: int = 5) -> Path:
    """Draw a row for each copy: skeletons in the colours of its actionlet, and where it agrees with the original's.

    Args:
        rows: From the top down, the original first.
        layout: Layout of all of them, or its name.
        path: PNG file to write.
        title: Line above.
        num_frames: Skeletons in a row, spread evenly over time.

    Returns:
        The path.

    Raises:
        ConfigError: If the layout is unknown, nothing is to be drawn or the file cannot be written.
        DataError: If joints, actionlet or overlap of a row do not fit the layout.
    """
    layout = get_layout(layout)
    if not rows or num_frames < 1:
        raise ConfigError(f'overlap: found {len(rows)} rows of {num_frames} frames to draw, expected one or more of '
                          'each')
    for row in rows:
        if np.shape(row.overlap) != np.shape(row.actionlet) or np.shape(row.actionlet)[1:] != (layout.num_joints,):
            raise DataError(f'overlap, {row.title!r}: actionlet and overlap have the shapes {np.shape(row.actionlet)} '
                            f"and {np.shape(row.overlap)}, expected (T', {layout.num_joints}) of {layout.name!r}")
    width = _LABEL + _CELL * num_frames + _NAMES + _MAP + .15
    height = _HEAD + _ROW * len(rows) + _FOOT
    figure = Figure(figsize=(width, height))
    figure.text(.1 / width, 1 - .1 / height, title, fontsize=9, va='top', parse_math=False)
    for i, row in enumerate(rows):
        bottom = height - _HEAD - _ROW * (i + 1)
        figure.text(.1 / width, (bottom + _ROW / 2) / height, row.title, fontsize=9, va='bottom', parse_math=False)
        figure.text(.1 / width, (bottom + _ROW / 2 - .04) / height, row.note, fontsize=8, color='0.35', va='top')
        weights, limits = frame_weights(row.actionlet, len(row.joints)), view_limits(row.joints, layout)
        for column, frame in enumerate(drawn_frames(len(row.joints), num_frames)):
            ax = figure.add_axes(((_LABEL + _CELL * column) / width, (bottom + .04) / height, (_CELL - .04) / width,
                                  (_ROW - .08) / height))
            draw_skeleton(ax, row.joints[frame], layout, weights[frame], limits)
        ax = figure.add_axes(((width - _MAP - .15) / width, (bottom + .06) / height, _MAP / width,
                              (_ROW - .12) / height))
        _draw_cells(ax, row.overlap, layout)
    ax.set_xlabel('time', fontsize=7, labelpad=1)
    figure.legend(handles=[Patch(facecolor=_COLOURS[kind], edgecolor='0.6', linewidth=.5, label=label)
                           for kind, label in _LABELS.items()],
                  loc='lower right', ncols=5, fontsize=7, frameon=False, handlelength=1, columnspacing=1)
    figure.text(.1 / width, .1 / height, 'skeletons: colour = actionlet / maximum', fontsize=7, color='0.4')
    return save_png(figure, path, dpi=_DPI)


def _draw_cells(ax: Axes, overlap: np.ndarray, layout: Layout) -> None:
    colours = ListedColormap([_COLOURS[kind] for kind in sorted(_COLOURS)])
    ax.imshow(overlap.T[joint_order(layout)], cmap=colours, vmin=0, vmax=4, aspect='auto', interpolation='nearest')
    sizes = np.array([len(members) for members in layout.parts.values()])
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        ax.axhline(end - .5, color='0.6', linewidth=.5)
    ax.set_yticks(ends - sizes / 2 - .5, [part.replace('_', ' ') for part in layout.parts], fontsize=6)
    ax.set_xticks([])
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_color('0.7')
