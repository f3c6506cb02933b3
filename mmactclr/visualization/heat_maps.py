"""Mean actionlets by class: joints x classes and time x classes (figures 3 and 4, supplement of Lin et al., 2023)."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmactclr.errors import DataError
from mmactclr.structures import Layout, get_layout

from .skeleton import WEIGHT_COLOURS, save_png

#: What the colours of both maps mean.
UNIT = "% of the class's mean actionlet"
# inches: a class, a joint, a cell of time, names at the left, names of classes, colourbar
_COLUMN, _JOINT_ROW, _CELL_ROW, _LEFT, _NAME, _RIGHT = .22, .17, .24, 1.9, .062, .85
_DPI = 110


def joint_order(layout: Layout) -> list[int]:
    """Joints sorted by body part: trunk, arms, legs."""
    return [joint for members in layout.parts.values() for joint in members]


def draw_joint_heat_map(shares: np.ndarray, classes: Sequence[str], layout: str | Mapping[str, Any] | Layout,
                        path: str | Path, title: str = '') -> Path:
    """Draw which joints the actionlets of every class lie on, joints from the top down by body part.

    Args:
        shares: (K, V) share of the mean actionlet of each class on each joint, from 0 to 1.
        classes: Names of the K classes.
        layout: Layout of the V joints, or its name.
        path: PNG file to write.
        title: Line above.

    Returns:
        The path.

    Raises:
        ConfigError: If the layout is unknown or the file cannot be written.
        DataError: If the shares do not fit classes and layout, or are negative or not finite.
    """
    layout = get_layout(layout)
    shares = _check(shares, len(classes), layout.num_joints, f'V of layout {layout.name!r}')
    figure, ax, bar = _figure(layout.num_joints * _JOINT_ROW, classes, title)
    order = joint_order(layout)
    _draw(figure, ax, bar, 100 * shares.T[order], classes)
    ax.set_yticks(range(len(order)), [layout.joints[joint].replace('_', ' ') for joint in order], fontsize=7)
    sizes = np.array([len(members) for members in layout.parts.values()])
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        ax.axhline(end - .5, color='0.35', linewidth=.9)
    low, high = ax.get_position().y0, ax.get_position().y1
    for part, middle in zip(layout.parts, ends - sizes / 2, strict=True):
        figure.text(.1 / figure.get_figwidth(), high - (high - low) * middle / len(order), part.replace('_', '\n'),
                    va='center', fontsize=8, color='0.35')
    return save_png(figure, path, dpi=_DPI)


def draw_time_heat_map(shares: np.ndarray, classes: Sequence[str], num_frames: int, path: str | Path,
                       title: str = '') -> Path:
    """Draw at which moments the actionlets of every class lie.

    Args:
        shares: (K, T') share of the mean actionlet of each class in each cell of time, from 0 to 1.
        classes: Names of the K classes.
        num_frames: Frames T that the cells are spread over; the first is centred on frame 0, the last on T - 1.
        path: PNG file to write.
        title: Line above.

    Returns:
        The path.

    Raises:
        ConfigError: If the file cannot be written.
        DataError: If the shares do not fit the classes, or are negative or not finite.
    """
    shares = _check(shares, len(classes), None, "T'")
    cells = shares.shape[1]
    figure, ax, bar = _figure(cells * _CELL_ROW, classes, title)
    _draw(figure, ax, bar, 100 * shares.T, classes)
    centres = np.linspace(0, num_frames - 1, cells)
    ax.set_yticks(range(cells), [f'{centre:.0f}' for centre in centres], fontsize=7)
    ax.set_ylabel(f'frame of {num_frames}', fontsize=8)
    return save_png(figure, path, dpi=_DPI)


def _draw(figure: Figure, ax: Axes, bar: Axes, percent: np.ndarray, classes: Sequence[str]) -> None:
    image = ax.imshow(percent, cmap=WEIGHT_COLOURS, vmin=0, aspect='auto', interpolation='nearest')
    ax.set_xticks(range(len(classes)), classes, rotation=90, fontsize=7)
    for tick in ax.get_xticklabels():
        tick.set_parse_math(False)
    ax.tick_params(length=0)
    ax.spines[:].set_color('0.6')
    colourbar = figure.colorbar(image, cax=bar)
    colourbar.set_label(UNIT, fontsize=8)
    colourbar.ax.tick_params(labelsize=7, length=2)
    colourbar.outline.set_visible(False)


def _figure(rows: float, classes: Sequence[str], title: str) -> tuple[Figure, Axes, Axes]:
    """A figure whose map is ``rows`` inches high, its axes and that of the colourbar."""
    columns = max(_COLUMN * len(classes), 2.)
    names = _NAME * max(map(len, classes)) + .25
    width, height = _LEFT + columns + _RIGHT, rows + names + .45
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((_LEFT / width, names / height, columns / width, rows / height))
    bar = figure.add_axes(((_LEFT + columns + .15) / width, names / height, .12 / width, rows / height))
    figure.text(.1 / width, 1 - .15 / height, title, fontsize=9, va='top', parse_math=False)
    return figure, ax, bar


def _check(shares: np.ndarray, num_classes: int, width: int | None, what: str) -> np.ndarray:
    shares = np.asarray(shares, np.float64)
    if not num_classes or shares.ndim != 2 or shares.shape[0] != num_classes or not shares.shape[1] \
            or width not in (None, shares.shape[1]):
        raise DataError(f'heat map: the shares have shape {shares.shape}, expected ({num_classes} classes, '
                        f'{what}{"" if width is None else f" = {width}"}), at least one of each')
    if not (np.isfinite(shares).all() and (shares >= 0).all()):
        raise DataError('heat map: there are shares that are negative, NaN or infinite; expected them from 0 to 1')
    return shares
