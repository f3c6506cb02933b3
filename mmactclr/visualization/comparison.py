"""Results of several runs as lines: over epochs (figure 1 of the supplement), over sizes of the memory (figure 2)."""
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from mmactclr.errors import DataError

from .skeleton import save_png

#: Of each run, by its name: y by x.
Lines = Mapping[str, Mapping[float, float]]
# inches of a panel
_WIDTH, _HEIGHT = 4.8, 3.4
_COLUMNS = 2


def draw_lines(panels: Mapping[str, Lines], path: str | Path, x_label: str, y_label: str | Mapping[str, str],
               title: str = '', doubling: bool = False, errors: Mapping[str, Lines] | None = None) -> Path:
    """Draw a panel for each quantity, in it a line for each run.

    Args:
        panels: By the name of the quantity: by the name of the run: y by x.
        path: PNG file to write.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit; of each panel where they differ.
        title: Line above.
        doubling: Whether x doubles from one to the next: equal steps, and every x is marked.
        errors: Standard errors of the values in ``panels``, drawn as bars; a panel that has any begins at zero.

    Returns:
        The path.

    Raises:
        DataError: If there is nothing to draw, or x is not above zero where it doubles.
        ConfigError: If the file cannot be written.
    """
    panels = {name: {run: dict(sorted(line.items())) for run, line in lines.items() if line}
              for name, lines in panels.items()}
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        raise DataError('lines: there is nothing to draw, expected one value at least')
    places = sorted({x for lines in panels.values() for line in lines.values() for x in line})
    if doubling and places[0] <= 0:
        raise DataError(f'lines: {x_label} is {places[0]}, expected numbers above zero')
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows + .2), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes[len(panels):]:
        ax.set_axis_off()
    for ax, (name, lines) in zip(axes, panels.items(), strict=False):
        for run, line in lines.items():
            own = (errors or {}).get(name, {}).get(run)
            style = dict(marker='o' if len(line) < 30 else '', markersize=3, linewidth=1.4, label=run)
            if own is None:
                ax.plot(list(line), list(line.values()), **style)
            else:
                ax.errorbar(list(line), list(line.values()), [own[x] for x in line], capsize=3, elinewidth=1, **style)
        if (errors or {}).get(name):
            ax.set_ylim(bottom=0)
        ax.set_title(name, loc='left', fontsize=10)
        ax.set_xlabel(x_label, fontsize=9)
        ax.set_ylabel(y_label if isinstance(y_label, str) else y_label[name], fontsize=9)
        ax.tick_params(labelsize=8)
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(axis='y', color='0.9')
        if doubling:
            ax.set_xscale('log', base=2)
            ax.xaxis.set_major_locator(FixedLocator(places))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticklabels([f'{x:g}' for x in places], rotation=45)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        # lines of text in a legend must not be taken for formulas
        for text in ax.legend(frameon=False, fontsize=8).get_texts():
            text.set_parse_math(False)
    if title:
        figure.suptitle(title, x=.01, ha='left', fontsize=10)
    return save_png(figure, path)
