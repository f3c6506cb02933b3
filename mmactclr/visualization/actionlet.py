"""Actionlets on skeletons and as heat maps (figures 3, 4 and 6, supplement of Lin et al., 2023)."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout

from .bodies import SpaceBodies
from .motion_clip import MotionClip
from .skeleton import (
    WEIGHT_COLOURS,
    Limits,
    add_colourbar,
    check_joints,
    draw_skeleton,
    save_png,
    view_limits,
)
from .space import SpaceClip, Viewpoint

# inches: one skeleton, one row, heat map with the names of the parts
CELL, ROW, HEAT = 1.0, 1.9, 3.2


@dataclass(frozen=True)
class ActionletExample:
    """One person's sequence and what the method sees in it.

    Attributes:
        title: What the row is called, usually the class.
        joints: (T, V, C) joints in any unit.
        actionlet: (T', V) raw actionlet, not negative, of any scale; cells spread evenly over T.
        unit: Of the joints, if known.
    """

    title: str
    joints: np.ndarray
    actionlet: np.ndarray
    unit: str = ''


def drawn_frames(total: int, count: int) -> np.ndarray:
    """At most ``count`` frames spread evenly over 0 to ``total`` - 1, the first included."""
    return np.unique(np.linspace(0, total - 1, count).round().astype(int))


def frame_weights(actionlet: np.ndarray, num_frames: int) -> np.ndarray:
    """Actionlet (T', V) over its maximum, interpolated to (num_frames, V), corners aligned.

    An actionlet that is zero everywhere stays zero.
    """
    cells, frames = np.linspace(0, 1, len(actionlet)), np.linspace(0, 1, num_frames)
    relative = _relative(actionlet)
    return np.stack([np.interp(frames, cells, joint) for joint in relative.T], 1)


def draw_actionlet_sheet(sequences: Sequence[ActionletExample],
                         layout: str | Mapping[str, Any] | Layout, path: str | Path,
                         num_frames: int = 7, caption: str = '', view: Viewpoint | None = None) -> Path:
    """Draw a row for each sequence: skeletons over time with their actionlet, and its heat map.

    Colours are relative to the highest value of the row. L and R stand above the person's own left and right shoulder.

    Args:
        sequences: Rows from the top down.
        layout: Layout of all of them, or its name.
        path: PNG file to write.
        num_frames: Skeletons in a row, spread evenly over time.
        caption: A line at the bottom.
        view: From where the bodies are seen in three dimensions; flat, in x and y, if None.

    Returns:
        The path.

    Raises:
        ConfigError: If the layout is unknown, nothing is to be drawn or the file cannot be written.
        DataError: If joints or actionlet of a sequence do not fit the layout.
    """
    layout = get_layout(layout)
    if not sequences or num_frames < 1:
        raise ConfigError(f'actionlet sheet: found {len(sequences)} sequences of {num_frames} '
                          'frames to draw, expected one or more of each')
    for example in sequences:
        _check(example, layout)
    width, height = CELL * num_frames + HEAT, ROW * len(sequences) + 0.55
    figure = Figure(figsize=(width, height))
    # the narrow column is for the names of the parts
    grid = figure.add_gridspec(
        len(sequences), num_frames + 3, width_ratios=[1] * num_frames + [0.6, 2, 0.08],
        hspace=0.3, wspace=0.06, left=0.1 / width, right=1 - 0.4 / width, bottom=0.55 / height,
        top=1 - 0.25 / height)
    for row, example in enumerate(sequences):
        frames = drawn_frames(len(example.joints), num_frames)
        weights = frame_weights(example.actionlet, len(example.joints))
        clip, limits = None, view_limits(example.joints, layout)
        if view is not None:
            clip = SpaceClip.of(MotionClip(example.title, example.joints[None], layout, weight=weights[None],
                                           centred=True, unit=example.unit), view)
            limits = clip.limits(np.arange(len(example.joints)))
        for column, frame in enumerate(frames):
            ax = figure.add_subplot(grid[row, column])
            if clip is None:
                draw_skeleton(ax, example.joints[frame], layout, weights[frame], limits)
            else:
                SpaceBodies(ax, clip, limits).show(frame)
            ax.text(0.5, -0.03, str(frame), transform=ax.transAxes, ha='center', va='top',
                    fontsize=7, color='0.4')
            if column == 0:
                ax.set_title(example.title, loc='left', fontsize=9)
                _mark_sides(ax, (example.joints if clip is None else clip.placed[0])[frame], layout, limits)
        heat = figure.add_subplot(grid[row, num_frames + 1])
        draw_heat_map(heat, example.actionlet, layout, frames.tolist(), len(example.joints))
    heat.set_xlabel('frame', fontsize=7)
    figure.text(0.1 / width, 0.1 / height, caption, fontsize=7, color='0.4')
    add_colourbar(figure, figure.add_subplot(grid[0, num_frames + 2]), 'actionlet / row maximum')
    return save_png(figure, path)


def draw_heat_map(ax: Axes, actionlet: np.ndarray, layout: Layout, ticks: Sequence[int],
                  num_frames: int) -> None:
    """Draw an actionlet (T', V) over time, its joints grouped by body part.

    Args:
        ax: Axes to draw on.
        actionlet: (T', V), not negative.
        layout: Layout of the joints.
        ticks: Frames to mark.
        num_frames: Frames T that the T' cells stand for.
    """
    order = [joint for members in layout.parts.values() for joint in members]
    # the first and the last cell are centred on the first and the last frame
    last, cells = num_frames - 1, len(actionlet)
    half = last / (cells - 1) / 2 if last and cells > 1 else 0.5
    ax.imshow(_relative(actionlet).T[order], cmap=WEIGHT_COLOURS, vmin=0, vmax=1, aspect='auto',
              interpolation='nearest', extent=(-half, last + half, len(order), 0))
    sizes = np.array([len(members) for members in layout.parts.values()])
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        ax.axhline(end, color='0.6', linewidth=0.6)
    ax.set_yticks(ends - sizes / 2, [part.replace('_', ' ') for part in layout.parts], fontsize=7)
    ax.set_xticks(list(ticks), [str(frame) for frame in ticks], fontsize=7)
    ax.tick_params(axis='y', length=0)
    ax.tick_params(axis='x', length=2)
    ax.spines[:].set_visible(False)


def _relative(actionlet: np.ndarray) -> np.ndarray:
    actionlet = np.asarray(actionlet, dtype=np.float64)
    return actionlet / max(float(actionlet.max()), np.finfo(np.float64).tiny)


def _mark_sides(ax: Axes, joints: np.ndarray, layout: Layout, limits: Limits) -> None:
    shoulders = joints[list(layout.shoulders), 0]
    outwards = (shoulders - shoulders.mean()) * 0.5
    for x, side in zip(shoulders + outwards, 'LR', strict=True):
        ax.text(x, limits[3], side, ha='center', va='top', fontsize=6, color='0.5')


def _check(example: ActionletExample, layout: Layout) -> None:
    try:
        check_joints(example.joints, layout, ndim=3)
    except DataError as error:
        raise DataError(f'actionlet sheet, {example.title!r}: {error}') from error
    actionlet = np.asarray(example.actionlet)
    if actionlet.ndim != 2 or not len(actionlet) or actionlet.shape[1] != layout.num_joints:
        raise DataError(f"actionlet sheet, {example.title!r}: the actionlet has shape "
                        f"{actionlet.shape}, expected (T', V) with V = {layout.num_joints} of "
                        f'layout {layout.name!r}')
    if not (np.isfinite(actionlet).all() and (actionlet >= 0).all()):
        raise DataError(f'actionlet sheet, {example.title!r}: the actionlet holds negative, NaN or '
                        'infinite values; expected the raw one of the model')
