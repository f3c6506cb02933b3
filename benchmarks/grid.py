"""Runs of a grid of configs: each trained, measured on the labelled sets of the pool, and written as a line of JSON.

A run is a config with changes, a seed and a number of epochs. One whose line is there, with the same config, changes
and epochs, is not run again; none is started after the time is up. So the same command goes on where it was stopped,
also after the machine was.
"""
import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from methods import call
from on_sets import TITLES

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
# of the last epoch: losses and what the method says of itself
KEPT = ('loss', 'kl', 'mi_bound', 'mask_mean', 'mask_share', 'anchor_similarity', 'time')
BASELINE_TITLES = {'prepared_coordinates': 'raw coordinates', 'mean_joint_velocity': 'mean joint velocity',
                   'untrained_encoder': 'untrained encoder'}
# two-sided 95% of Student's t for 1 to 9 degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True)
class Run:
    """A training and what is measured of it.

    Attributes:
        variant: Row of the table.
        config: Name of a config.
        epochs: Epochs of the run.
        budget: What it has in common with the runs that it is compared with: ``steps`` or ``seconds``.
        changes: What differs from the config, nested as there.
        start: Run whose checkpoint it goes on from.
        seed: Seed of weights, order and augmentation.
        baselines: Measure features that cost nothing, too, with the frames and joints of this encoder.
    """

    variant: str
    config: str
    epochs: int
    budget: str = 'steps'
    changes: dict[str, Any] = field(default_factory=dict)
    start: 'Run | None' = None
    seed: int = 0
    baselines: bool = False

    def recipe(self) -> dict[str, Any]:
        """All that a number depends on, as a line has it."""
        return dict(variant=self.variant, budget=self.budget, seed=self.seed, config=self.config, epochs=self.epochs,
                    start=self.start.variant if self.start else '', changes=json.loads(json.dumps(self.changes)))

    def write_config(self, path: Path, load_from: Path | None) -> None:
        """Write the config of this run, a child of ``config``."""
        from mmactclr.utils import load_config
        changes = {**self.changes, 'randomness': dict(seed=self.seed)}
        for name, value in (('train_cfg', dict(max_epochs=self.epochs, val_interval=10 ** 6)),
                            ('param_scheduler', dict(T_max=self.epochs))):
            changes[name] = {**value, **self.changes.get(name, {})}
        changes['default_hooks'] = dict(checkpoint=dict(interval=self.epochs, max_keep_ckpts=1))
        if load_from is not None:
            changes['load_from'] = str(load_from)
        base = str(load_config(self.config).filename)
        lines = [f'_base_ = {base!r}', *(f'{key} = {value!r}' for key, value in changes.items())]
        path.write_text('\n'.join(lines) + '\n')
        load_config(path)


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """The options that every grid has."""
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(default: 0 1 2)')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side, a thread each (default: 1)')
    parser.add_argument('--hours', type=float, default=2., help='start nothing after so long (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs') / name, help='folder of the runs '
                        '(default: %(default)s)')
    parser.add_argument('--results', type=Path, default=RESULTS / f'{name}.jsonl',
                        help=f'file of a JSON line a run (default: benchmarks/results/{name}.jsonl)')
    parser.add_argument('--table', action='store_true', help='run nothing, print the table of what is there')


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def is_done(run: Run, lines: Sequence[dict[str, Any]]) -> bool:
    """Whether a run has its line."""
    recipe = run.recipe()
    return any(all(line.get(key) == value for key, value in recipe.items()) for line in lines)


class Grid:
    """Runs what is missing, ``jobs`` at a time."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.begin, self.lock, self.failed = args, time.monotonic(), Lock(), 0

    def folder(self, run: Run) -> Path:
        """Where a run writes."""
        return (self.args.out / f'{run.variant}_{run.budget}_{run.epochs}_{run.seed}'.replace(' ', '_')).resolve()

    def drive(self, runs: Sequence[Run]) -> bool:
        """Run those without a line; False if one failed or is missing."""
        left = [run for run in runs if not is_done(run, read_lines(self.args.results))]
        with ThreadPoolExecutor(self.args.jobs) as pool:
            return all(list(pool.map(self.one, left)))

    def one(self, run: Run) -> bool:
        """Train and measure one; True if its line is there afterwards."""
        if time.monotonic() - self.begin > 3600 * self.args.hours:
            print(f'{run.variant}, seed {run.seed}: no time left; the same command goes on from here', flush=True)
            return False
        folder = self.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        print(f'{run.variant}, seed {run.seed}: {run.epochs} epochs', flush=True)
        try:
            line = {**run.recipe(), **train(run, folder, self.checkpoint(run.start) if run.start else None)}
            line['sets'] = measure(self.checkpoint(run), folder, run)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            print(f'{run.variant}, seed {run.seed}: failed: {error}', flush=True)
            return False
        self.append(line)
        print(f'{run.variant}, seed {run.seed}: {line["seconds"]:.0f} s of its thread; '
              + ', '.join(f'{name} {found["encoder"]["knn"]:.1f}' for name, found in line['sets'].items()), flush=True)
        return True

    def append(self, line: dict[str, Any]) -> None:
        """Add a line to the results."""
        with self.lock:
            self.args.results.parent.mkdir(parents=True, exist_ok=True)
            with self.args.results.open('a') as file:
                file.write(json.dumps(line) + '\n')

    def checkpoint(self, run: Run) -> Path:
        """The last checkpoint of a run."""
        path = self.folder(run) / f'epoch_{run.epochs}.pth'
        if not path.is_file():
            raise RuntimeError(f'{path} is missing; take the lines of {run.variant!r} out of the results to train it '
                               'again')
        return path


def train(run: Run, folder: Path, load_from: Path | None) -> dict[str, Any]:
    """Seconds of its thread, steps, peak memory in MiB and the scalars of the end of a training."""
    run.write_config(folder / 'config.py', load_from)
    for old in folder.glob('2*'):
        old.rename(folder / f'old_{old.name}_{time.time_ns()}')
    used = call(['tools/train.py', str(folder / 'config.py'), '--amp', '--work-dir', str(folder)],
                folder / 'train.log')
    if used is None:
        raise RuntimeError(f'the training failed, see {folder / "train.log"}')
    entries = [json.loads(text) for path in folder.glob('2*/vis_data/scalars.json')
               for text in path.read_text().splitlines()]
    entries = [entry for entry in entries if 'loss' in entry]
    import torch
    return dict(seconds=round(used[0], 1), wall=round(used[2], 1), memory=round(used[1]), steps=entries[-1]['step'],
                torch=torch.__version__, machine=processor(),
                scalars={key: round(value, 4) for key, value in entries[-1].items() if key in KEPT})


def processor() -> str:
    """Name of the processor."""
    try:
        return next(line.split(':')[1].strip() for line in Path('/proc/cpuinfo').read_text().splitlines()
                    if line.startswith('model name'))
    except (OSError, StopIteration):
        return 'unknown'


def measure(checkpoint: Path, folder: Path, run: Run) -> dict[str, Any]:
    """What ``on_sets.py`` finds of a checkpoint."""
    out = folder / 'on_sets.json'
    if call(['benchmarks/on_sets.py', str(checkpoint), '--json', str(out), '--seed', str(run.seed),
             *['--baselines'] * run.baselines],
            folder / 'on_sets.log') is None:
        raise RuntimeError(f'the evaluation failed, see {folder / "on_sets.log"}')
    return next(iter(json.loads(out.read_text()).values()))


def paired(values: dict[int, float], control: dict[int, float]) -> tuple[float, float]:
    """Mean difference over the seeds of both, and half of its 95% interval (Student's t; nan for one seed)."""
    differences = [values[seed] - control[seed] for seed in sorted(values.keys() & control.keys())]
    if not differences:
        return math.nan, math.nan
    if len(differences) < 2:
        return differences[0], math.nan
    half = STUDENT[len(differences) - 2] * statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), half


def by_seed(lines: Sequence[dict[str, Any]], variant: str, budget: str, read: Callable[[dict[str, Any]], float]
            ) -> dict[int, float]:
    """A number of a variant, by seed."""
    return {line['seed']: read(line) for line in lines if line['variant'] == variant and line['budget'] == budget}


def sets_table(lines: Sequence[dict[str, Any]], rows: Sequence[tuple[str, str]], control: tuple[str, str]) -> str:
    """kNN and linear of variants on every set, and how far the mean over the sets is from that of a control.

    Args:
        lines: Lines of the results.
        rows: Variant and budget of each row; those without lines are left out.
        control: Variant and budget that all are compared with.

    Returns:
        Markdown. Baselines that a variant was measured with come first, the untrained encoder once for each of these.
    """
    head = ['kNN / linear', *TITLES.values(), 'mean of sets', 'kNN against control', 'linear against control', 'seeds',
            'epochs', 's']
    baselines, text = dict[str, list[str]](), []
    for variant, budget in rows:
        group = [line for line in lines if (line['variant'], line['budget']) == (variant, budget)]
        if not group:
            continue
        for name, title in BASELINE_TITLES.items():
            # only weights depend on the seed
            some = [line for line in group if name in line['sets']['utd_mhad']][:None if 'untrained' in name else 1]
            title += f' of {variant}' * ('untrained' in name)
            if some and title not in baselines:
                baselines[title] = [title, *accuracies(some, name), '', '', str(len(some)), '', '']
        against = ['', ''] if (variant, budget) == control else [
            difference(lines, (variant, budget), control, metric) for metric in ('knn', 'linear')]
        seconds = statistics.median(line['seconds'] for line in group)
        text.append([f'{variant}{", same seconds" * (budget == "seconds")}', *accuracies(group, 'encoder'), *against,
                     str(len(group)), str(group[0]['epochs']), f'{seconds:.0f}'])
    return '\n'.join(f'| {" | ".join(row)} |' for row in [head, ['---'] * len(head), *baselines.values(), *text])


def accuracies(group: Sequence[dict[str, Any]], who: str) -> list[str]:
    """Means over runs of kNN and linear, on every set and over the sets."""
    def mean(read: Callable[[dict[str, Any], str], float]) -> str:
        return ' / '.join(f'{statistics.mean(read(line, metric) for line in group):.1f}'
                          for metric in ('knn', 'linear'))

    def on(column: str) -> Callable[[dict[str, Any], str], float]:
        return lambda line, metric: line['sets'][column][who][metric]

    return [*(mean(on(column)) for column in TITLES), mean(lambda line, metric: over_sets(line, metric, who))]


def over_sets(line: dict[str, Any], metric: str, who: str = 'encoder') -> float:
    """Mean over UTD-MHAD, UI-PRMD and the sequences of Northwestern-UCLA that are no copies."""
    return statistics.mean(line['sets'][name][who][metric] for name in ('utd_mhad', 'ui_prmd', 'nw_ucla_clean'))


def difference(lines: Sequence[dict[str, Any]], row: tuple[str, str], control: tuple[str, str], metric: str) -> str:
    """Paired difference of two rows and half of its 95% interval."""
    mean, half = paired(*(by_seed(lines, *which, lambda line: over_sets(line, metric)) for which in (row, control)))
    return f'{mean:+.1f}' if math.isnan(half) else f'{mean:+.1f} ± {half:.1f}'
