"""Loss and accuracy of a training run by epoch."""
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmactclr.errors import DataError

from .skeleton import save_png

History = Mapping[str, Mapping[int, float]]


def read_history(work_dir: str | Path) -> dict[str, dict[int, float]]:
    """Losses and evaluation results of a work dir by name, each by epoch.

    Every run leaves its own ``vis_data/scalars.json``; what a later run, resumed or new, writes
    from its first epoch on replaces what stood there. Log lines of one epoch are averaged.

    Returns:
        Losses by their own names (``loss_nce``, ``joint.loss_nce``, ...), not their sum ``loss``,
        which is another quantity in every stage; results in percent (``knn/backbone_k20``, ...).

    Raises:
        DataError: If no run is there, nothing was logged or a line cannot be read.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise DataError(f'{work_dir}: there is no training log, expected */vis_data/scalars.json; '
                        'give the work dir of tools/train.py')
    history: dict[str, dict[int, float]] = {}
    for file in files:
        run = _read_run(file)
        first = min((epoch for series in run.values() for epoch in series), default=np.inf)
        for name in {**history, **run}:
            before = {e: v for e, v in history.get(name, {}).items() if e < first}
            history[name] = {**before, **run.get(name, {})}
    history = {name: dict(sorted(series.items())) for name, series in history.items() if series}
    if not history:
        raise DataError(f'{work_dir}: {len(files)} training logs hold neither a loss nor a result; '
                        'train for an epoch at least')
    return history


def is_loss(name: str) -> bool:
    """Whether a series is a loss; the others are results in percent."""
    return name.rsplit('.', 1)[-1].startswith('loss_')


def draw_curves(history: History, path: str | Path) -> Path:
    """Draw losses and, beside them, accuracies by epoch, as far as there are any.

    Args:
        history: Values by epoch by name, from :func:`read_history`.
        path: PNG file to write.

    Returns:
        The path.

    Raises:
        DataError: If the history is empty.
        ConfigError: If the file cannot be written.
    """
    losses = {name: series for name, series in history.items() if is_loss(name)}
    results = {name: series for name, series in history.items() if name not in losses}
    groups = (('loss', losses), ('accuracy, %', results))
    panels = {title: group for title, group in groups if group}
    if not panels:
        raise DataError('training curve: the history is empty, expected a loss or a result')
    figure = Figure(figsize=(4.6 * len(panels), 3.2), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, group) in zip(axes, panels.items(), strict=True):
        for name, series in group.items():
            marker = 'o' if len(series) < 20 else ''
            ax.plot(list(series), list(series.values()), linewidth=1.4, marker=marker,
                    markersize=3, label=name)
        ax.set_title(title, loc='left', fontsize=10)
        ax.set_xlabel('epoch', fontsize=9)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.tick_params(labelsize=8)
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(axis='y', color='0.9')
        ax.legend(frameon=False, fontsize=8)
    return save_png(figure, path)


def _read_run(file: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        lines = file.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{file} cannot be read ({error}); move it away') from error
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise ValueError(f'a {type(entry).__name__}')
        except (ValueError, RecursionError) as error:
            raise DataError(f'{file}, line {number} is not JSON of named numbers ({error}); remove it') from error
        # lines of training state their epoch, those of an evaluation have it as their step
        training = 'epoch' in entry
        for name, value in entry.items():
            if is_loss(name) if training else '/' in name:
                found[name][entry['epoch' if training else 'step']].append(value)
    return {name: {epoch: float(np.mean(values)) for epoch, values in by_epoch.items()}
            for name, by_epoch in found.items()}
