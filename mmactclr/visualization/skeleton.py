"""One skeleton in one frame, seen along the z axis."""
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout

# Perceptually uniform, from pale (0) to dark (1): what counts stands out on white. The darkest
# tenth of the map is left out, it looks black whatever the weight.
WEIGHT_COLOURS = ListedColormap(colormaps['magma_r'](np.linspace(0.02, 0.9, 256)), name='weight')

Limits = tuple[float, float, float, float]


def draw_skeleton(ax: Axes, joints: np.ndarray, layout: str | Mapping[str, Any] | Layout,
                  weight: np.ndarray | None = None, limits: Limits | None = None
                  ) -> tuple[LineCollection, PathCollection]:
    """Draw one body in x and y, with equal scales and without a frame around it.

    A bone takes the mean weight of its two joints. Depth is left out.

    Args:
        ax: Axes to draw on, one to two inches wide.
        joints: (V, C) positions in any unit, C at least 2.
        layout: Layout of the joints, or its name.
        weight: (V,) in [0, 1]; all joints alike if None.
        limits: Part of the plane to show, from :func:`view_limits`; that of this body if None.

    Returns:
        The bones, one segment each in the order of ``layout.bones``, and the joints.

    Raises:
        ConfigError: If the layout is unknown.
        DataError: If joints or weight have another shape, are not finite, or a weight lies outside
            [0, 1].
    """
    layout = get_layout(layout)
    joints = check_joints(joints, layout, ndim=2)
    limits = view_limits(joints[None], layout) if limits is None else limits
    child, parent = np.array(layout.bones).T
    segments = list(np.stack([joints[child, :2], joints[parent, :2]], 1))
    bones = LineCollection(segments, capstyle='round', linewidth=1.4, zorder=1)
    points = ax.scatter(joints[:, 0], joints[:, 1], s=13, linewidths=0.4, zorder=2)
    if weight is None:
        bones.set_color('0.35')
        points.set_color('0.35')
    else:
        weight = _check_weight(weight, layout)
        bones.set_color(WEIGHT_COLOURS((weight[child] + weight[parent]) / 2))
        points.set(facecolor=WEIGHT_COLOURS(weight), edgecolor='0.35')
        # pale bones would be lost on white
        ax.add_collection(LineCollection(segments, capstyle='round', color='0.75', linewidth=2.2,
                                         zorder=0), autolim=False)
    ax.add_collection(bones, autolim=False)
    show_plane(ax, limits)
    return bones, points


def view_limits(joints: np.ndarray, layout: str | Mapping[str, Any] | Layout) -> Limits:
    """Left, right, bottom and top of a view that holds a body in all frames (T, V, C), head up.

    In images y grows downwards, in space mostly upwards: the side of the hips on which the
    shoulders are, on average over the frames, is the top.

    Raises:
        ConfigError: If the layout is unknown.
        DataError: If the joints have another shape or are not finite.
    """
    layout = get_layout(layout)
    joints = check_joints(joints, layout, ndim=3)
    low, high = joints[..., :2].min((0, 1)), joints[..., :2].max((0, 1))
    # a body that is a single point is drawn, too
    margin = 0.05 * float((high - low).max()) or 1.0
    (left, bottom), (right, top) = low - margin, high + margin
    height = joints[..., 1].mean(0)
    if height[list(layout.shoulders)].mean() < height[list(layout.hips)].mean():
        bottom, top = top, bottom
    return float(left), float(right), float(bottom), float(top)


def show_plane(ax: Axes, limits: Limits) -> None:
    """Show a part of the plane with equal scales and without a frame around it."""
    left, right, bottom, top = _fill(ax, limits)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect='equal')
    ax.set_axis_off()


def _fill(ax: Axes, limits: Limits) -> Limits:
    """Widen limits to the shape of the axes, so that equal scales leave their place as it is."""
    box = ax.get_window_extent()
    left, right, bottom, top = limits
    width, height = right - left, top - bottom
    share = abs(height) * box.width / (box.height * width)
    more_x, more_y = max(share - 1, 0) * width / 2, max(1 / share - 1, 0) * height / 2
    return left - more_x, right + more_x, bottom - more_y, top + more_y


def add_colourbar(figure: Figure, cax: Axes, label: str) -> Colorbar:
    """The key to the colours of weights, upright in axes of its own."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), WEIGHT_COLOURS), cax=cax, ticks=[0, 1])
    bar.set_label(label, fontsize=7, labelpad=-2)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.outline.set_visible(False)
    return bar


def save_png(figure: Figure, path: str | Path, dpi: int = 130) -> Path:
    """Write a figure aside and rename it; the folder is made where it is missing.

    Raises:
        ConfigError: If the name does not end in .png or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise ConfigError(f'picture {str(path)!r}: expected a file name that ends in .png')
    aside = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    FigureCanvasAgg(figure)  # no window system, whatever pyplot is set to
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            figure.savefig(aside, format='png', dpi=dpi)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f'picture {str(path)!r} cannot be written: {error}') from error
    return path


def check_joints(joints: np.ndarray, layout: Layout, ndim: int) -> np.ndarray:
    """Joints (V, C), or (T, V, C) with ``ndim`` 3, in float64.

    Raises:
        DataError: If they have another shape or are not finite.
    """
    joints = np.asarray(joints, dtype=np.float64)
    fits = joints.ndim == ndim and joints.shape[-2] == layout.num_joints and joints.shape[-1] >= 2
    if not fits or 0 in joints.shape:
        raise DataError(f'joints have shape {joints.shape}, expected ({"T, " * (ndim - 2)}V, C) '
                        f'with V = {layout.num_joints} of layout {layout.name!r} and C >= 2')
    wrong = int((~np.isfinite(joints)).sum())
    if wrong:
        raise DataError(f'joints hold {wrong} coordinates that are NaN or infinite, expected none; '
                        'leave such frames out')
    return joints


def _check_weight(weight: np.ndarray, layout: Layout) -> np.ndarray:
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (layout.num_joints,):
        raise DataError(f'weight has shape {weight.shape}, expected ({layout.num_joints},): one '
                        f'for each joint of layout {layout.name!r}')
    if not ((weight >= 0) & (weight <= 1)).all():
        raise DataError(f'weight goes from {weight.min():g} to {weight.max():g}, expected [0, 1]; '
                        'divide an actionlet by its maximum')
    return weight
