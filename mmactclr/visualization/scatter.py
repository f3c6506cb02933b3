"""Points in the plane, coloured by class."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from mmactclr.errors import DataError

from .skeleton import save_png

# neighbouring classes get another marker as well: nobody tells thirty colours apart
_MARKERS = ('o', '^', 's', 'D', 'v', 'P')
_UNLABELLED = '0.7'
# classes of a column of the legend
_ROWS = 30


def draw_scatter(points: np.ndarray, labels: np.ndarray, classes: Sequence[str], path: str | Path,
                 title: str = '') -> Path:
    """Draw points, a colour and a marker a class; axes have no unit, as is written below them.

    Args:
        points: (N, 2).
        labels: (N,) classes, -1 for none.
        classes: Their names; those that do not occur are left out.
        path: PNG file to write.
        title: Line above.

    Returns:
        The path.

    Raises:
        DataError: If shapes or labels do not fit, or points are not finite.
        ConfigError: If the file cannot be written.
    """
    points, labels = np.asarray(points, np.float64), np.asarray(labels)
    if points.shape != (len(labels), 2) or not len(labels) or not np.isfinite(points).all():
        raise DataError(f'scatter: points of shape {points.shape} and {len(labels)} labels, expected (N, 2) finite '
                        'numbers and N of them, at least one')
    if labels.max() >= len(classes) or labels.min() < -1:
        raise DataError(f'scatter: labels go from {labels.min()} to {labels.max()}, expected -1 to {len(classes) - 1}')
    shown = [int(label) for label in np.unique(labels)]
    columns = -(-len(shown) // _ROWS)
    figure = Figure(figsize=(6 + 2.6 * columns, 6), layout='constrained')
    ax = figure.subplots()
    named = [label for label in shown if label >= 0]
    for label in shown:
        colour = _UNLABELLED if label < 0 else colormaps['turbo']((named.index(label) + .5) / len(named))
        rows = labels == label
        ax.scatter(points[rows, 0], points[rows, 1], s=16, color=colour, marker=_MARKERS[label % len(_MARKERS)],
                   linewidths=.3, edgecolors='white', label='no class' if label < 0 else classes[label])
    ax.set_title(title, loc='left', fontsize=9, parse_math=False)
    ax.set_xlabel('axes have no unit: neighbourhoods mean something, distances do not', fontsize=8, color='0.4')
    ax.set(xticks=[], yticks=[], aspect='equal', adjustable='datalim')
    ax.spines[:].set_color('0.8')
    legend = figure.legend(loc='outside right upper', ncols=columns, fontsize=7, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return save_png(figure, path)
