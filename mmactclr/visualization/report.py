"""Pictures of what stands behind an accuracy: confusion matrices and timelines, from the tables of a report."""
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmactclr.errors import DataError

from .skeleton import save_png

#: Of a timeline: class, first frame, frame after the last.
Span = tuple[str, int, int]
# inches a class takes, and up to how many classes the shares are written into the cells
_CELL, _SMALLEST, _LARGEST = 0.28, 4., 24.
_WRITTEN_CLASSES = 40
_SEQUENCES = 8
# columns of a legend of classes
_LEGEND_COLUMNS = 5
_BACKGROUND, _GREY = 'background', '0.92'


def read_confusion(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Classes and (K, K) counts of a ``*.confusion.csv``, rows are the truth.

    Raises:
        DataError: If the file is not such a table.
    """
    rows = _read(path)
    try:
        counts = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]])
    except ValueError as error:
        raise DataError(f'{path}: {error}; expected a table of counts as ReportHook writes it') from error
    classes = rows[0][1:]
    if counts.shape != (len(classes), len(classes)) or [row[0] for row in rows[1:]] != classes:
        raise DataError(f'{path}: {len(classes)} columns and {len(rows) - 1} rows, expected the same classes in both')
    return classes, counts


def draw_confusion(classes: Sequence[str], counts: np.ndarray, path: str | Path, title: str = '') -> Path:
    """Draw a confusion matrix, every row in percent of the sequences of that class.

    Args:
        classes: Names of the K classes; one that the test part lacks stays an empty row.
        counts: (K, K), rows are the truth.
        path: PNG file to write.
        title: Line above.
    """
    totals = counts.sum(1, keepdims=True)
    shares = 100 * counts / np.maximum(totals, 1)
    size = float(np.clip(_CELL * len(classes), _SMALLEST, _LARGEST))
    figure = Figure(figsize=(size + 3, size + 2), layout='constrained')
    ax = figure.subplots()
    image = ax.imshow(shares, cmap='Blues', vmin=0, vmax=100)
    places = range(len(classes))
    font = max(4., min(8., 72 * size / max(len(classes), 1) * .7))
    ax.set_xticks(places, classes, rotation=90, fontsize=font)
    ax.set_yticks(places, classes, fontsize=font)
    ax.set_xlabel('prediction', fontsize=9)
    ax.set_ylabel('truth', fontsize=9)
    if title:
        ax.set_title(title, loc='left', fontsize=10)
    if len(classes) <= _WRITTEN_CLASSES:
        for row, column in zip(*np.nonzero(shares >= .5), strict=True):
            ax.text(column, row, f'{shares[row, column]:.0f}', ha='center', va='center', fontsize=font * .8,
                    color='white' if shares[row, column] > 55 else '0.15')
    ax.tick_params(length=0)
    ax.spines[:].set_color('0.7')
    bar = figure.colorbar(image, ax=ax, shrink=.5, aspect=30, label='% of the class')
    bar.outline.set_visible(False)
    return save_png(figure, path)


def read_timelines(path: str | Path) -> dict[str, dict[str, list[Span]]]:
    """Segments of a ``*.timeline.csv``: sequence -> ``truth`` and ``prediction`` -> spans.

    Raises:
        DataError: If the file is not such a table.
    """
    found: dict[str, dict[str, list[Span]]] = {}
    for number, row in enumerate(_read(path)[1:], 2):
        if len(row) != 5 or not (row[3].isdigit() and row[4].isdigit()):
            raise DataError(f'{path}, line {number}: {row}, expected sequence, of, class, start, stop')
        found.setdefault(row[0], {}).setdefault(row[1], []).append((row[2], int(row[3]), int(row[4])))
    return found


def draw_timelines(timelines: Mapping[str, Mapping[str, Sequence[Span]]], path: str | Path, title: str = '',
                   limit: int = _SEQUENCES) -> Path:
    """Draw truth and prediction of long sequences, one above the other, a colour a class.

    Args:
        timelines: Sequence -> what (``truth``, ``prediction``) -> spans of frames.
        path: PNG file to write.
        title: Line above.
        limit: Sequences drawn, spread over all of them.

    Raises:
        DataError: If there is nothing to draw.
    """
    if not timelines:
        raise DataError('timeline: there is no sequence to draw')
    names = list(timelines)
    names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(limit, len(names))).round().astype(int))]
    shown = {name: timelines[name] for name in names}
    classes = sorted({span[0] for rows in shown.values() for spans in rows.values() for span in spans} - {_BACKGROUND})
    colours = {name: colormaps['turbo'](x) for name, x in
               zip(classes, np.linspace(.05, .95, len(classes)), strict=True)} | {_BACKGROUND: _GREY}
    legend_rows = -(-(len(classes) + 1) // _LEGEND_COLUMNS)
    figure = Figure(figsize=(11, 0.75 * len(shown) + 0.22 * legend_rows + 1), layout='constrained')
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for ax, (name, rows) in zip(panels, shown.items(), strict=True):
        _draw_rows(ax, name, rows, colours)
    panels[-1].set_xlabel('frame', fontsize=8)
    if title:
        figure.suptitle(title, x=0.01, ha='left', fontsize=10)
    figure.legend(handles=[Patch(color=colours[name], label=name) for name in (*classes, _BACKGROUND)],
                  loc='outside lower center', ncols=_LEGEND_COLUMNS, fontsize=7, frameon=False)
    return save_png(figure, path)


def _draw_rows(ax: Axes, name: str, rows: Mapping[str, Sequence[Span]], colours: Mapping[str, object]) -> None:
    for height, spans in enumerate(rows.values()):
        for label, start, stop in spans:
            ax.broken_barh([(start, stop - start)], (height + .05, .9), color=colours[label])
    ax.set_yticks([k + .5 for k in range(len(rows))], list(rows), fontsize=7)
    ax.invert_yaxis()
    ax.set_xlim(0, max((stop for spans in rows.values() for _, _, stop in spans), default=1))
    ax.set_title(name, loc='left', fontsize=7, pad=2)
    ax.tick_params(labelsize=7, length=2)
    ax.spines[:].set_visible(False)


def _read(path: str | Path) -> list[list[str]]:
    try:
        with Path(path).open(newline='', encoding='utf-8') as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path} cannot be read: {error}') from error
    if not rows:
        raise DataError(f'{path} is empty, expected a table as ReportHook writes it')
    return rows
