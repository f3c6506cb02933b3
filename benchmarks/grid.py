"""Jobs of a grid, each written as a line of JSON: trainings on the pool that are measured on its labelled sets.

A job whose line is there, with the same recipe, is not done again; none is started after the time is up. So the same
command goes on where it was stopped, also after the machine was.
"""
import argparse
import contextlib
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from on_sets import TITLES

from mmactclr.errors import ConfigError, DataError
from mmactclr.utils.zoo import list_zoo

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
# of the last epoch: losses and what the method says of itself
KEPT = ('loss', 'kl', 'mi_bound', 'mask_mean', 'mask_share', 'anchor_similarity', 'time')
BASELINE_TITLES = {'prepared_coordinates': 'raw coordinates', 'mean_joint_velocity': 'mean joint velocity',
                   'untrained_encoder': 'untrained encoder'}
# two-sided 95% of Student's t for 1 to 9 degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
# seconds between lines that a job goes on
HEARTBEAT = 20


class Job(Protocol):
    """What a grid does: all that its result depends on, names of it and of its folder, and how it is done."""

    @property
    def title(self) -> str:
        """What a message calls it."""

    @property
    def folder(self) -> str:
        """Name of its folder."""

    def recipe(self) -> dict[str, Any]:
        """All that its result depends on, as its line has it."""

    def execute(self, folder: Path, out: Path) -> dict[str, Any]:
        """Do it; what its line says beside the recipe.

        Args:
            folder: Its own folder.
            out: Folder of all jobs.
        """


@dataclass(frozen=True)
class Run:
    """A training, and what is measured of it on the labelled sets.

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

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f'{self.variant}, {self.epochs} epochs, seed {self.seed}'

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f'{self.variant}_{self.budget}_{self.epochs}_{self.seed}'

    def checkpoint(self, out: Path) -> Path:
        """The last checkpoint below the folder of all jobs."""
        path = (out / as_folder(self.folder) / f'epoch_{self.epochs}.pth').resolve()
        if not path.is_file():
            raise RuntimeError(f'{path} is missing; take the line of {self.title} out of the results to train it again')
        return path

    def execute(self, folder: Path, out: Path) -> dict[str, Any]:
        """Train and measure; what its line says beside the recipe."""
        found = train(self, folder, self.start.checkpoint(out) if self.start else None)
        return {**found, 'sets': measure(self.checkpoint(out), folder, self)}

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


def add_arguments(parser: argparse.ArgumentParser, name: str, seeds: bool = True) -> None:
    """The options that every grid has; seeds where its jobs depend on one."""
    if seeds:
        parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(default: 0 1 2)')
    parser.add_argument('--jobs', type=positive, default=1, help='runs side by side, a thread each (default: 1)')
    parser.add_argument('--hours', type=float, default=2., help='start nothing after so long (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs') / name, help='folder of the runs '
                        '(default: %(default)s)')
    parser.add_argument('--results', type=Path, default=RESULTS / f'{name}.jsonl',
                        help=f'file of a JSON line a run (default: benchmarks/results/{name}.jsonl)')
    parser.add_argument('--table', action='store_true', help='run nothing, print the table of what is there')


def positive(word: str) -> int:
    """A number from 1 up, for argparse."""
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f'{word!r}, expected a number from 1 up')
    return int(word)


def named_encoders(words: Sequence[str]) -> dict[str, str]:
    """Names and checkpoints of words ``NAME=CKPT``; files with their whole path.

    Raises:
        ConfigError: There is none, a word is another, or a checkpoint is neither a file nor a name of the zoo.
    """
    found = dict(word.partition('=')[::2] for word in words)
    if not found or not all(found.values()):
        raise ConfigError(f'the encoders are {" ".join(words) or "none"}, expected NAME=CKPT, one or more')
    for name, source in found.items():
        if not Path(source).is_file() and source not in list_zoo():
            raise ConfigError(f'{name}={source}: there is no such file, expected a checkpoint or one of the zoo: '
                              f'{", ".join(list_zoo())}')
    return {name: str(Path(source).resolve()) if Path(source).is_file() else source for name, source in found.items()}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that there are.

    Raises:
        DataError: One is no JSON.
    """
    found = []
    for number, line in enumerate(path.read_text().splitlines() if path.is_file() else (), 1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f'{path}, line {number}: no JSON ({error}); take the line out, and the same command runs '
                            'what it stood for') from None
    return found


def some_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that there are, one or more.

    Raises:
        DataError: There is none.
    """
    found = read_lines(path)
    if not found:
        raise DataError(f'{path} has no lines: nothing was measured yet (--table runs nothing)')
    return found


def finish(args: argparse.Namespace, table: Callable[[list[dict[str, Any]]], str], complete: bool) -> None:
    """Print the table of the lines that there are; exit status 1 if some are missing."""
    print('\n' + table(some_lines(args.results)))
    if not complete:
        sys.exit(1)


def is_done(job: Job, lines: Sequence[dict[str, Any]]) -> bool:
    """Whether a job has its line."""
    recipe = job.recipe()
    return any(all(line.get(key) == value for key, value in recipe.items()) for line in lines)


def as_folder(name: str) -> str:
    """A name without what a folder should not have in its name."""
    return re.sub(r'[^\w+-]+', '_', name)


class Grid:
    """Does what has no line yet, ``jobs`` at a time."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.begin, self.lock = args, time.monotonic(), Lock()

    def drive(self, jobs: Sequence[Job]) -> bool:
        """Do those without a line; False if one failed or is missing."""
        lines = read_lines(self.args.results)
        left = [job for job in jobs if not is_done(job, lines)]
        if len(left) < len(jobs):
            print(f'{len(jobs) - len(left)} of {len(jobs)} are measured: {self.args.results} has their lines',
                  flush=True)
        with ThreadPoolExecutor(self.args.jobs) as pool:
            return all(list(pool.map(self.one, left)))

    def one(self, job: Job) -> bool:
        """Do one; True if its line is there afterwards."""
        if time.monotonic() - self.begin > 3600 * self.args.hours:
            print(f'{job.title}: no time left; the same command goes on from here', flush=True)
            return False
        folder = (self.args.out / as_folder(job.folder)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(f'{job.title}: begins', flush=True)
        begin = time.monotonic()
        try:
            line = {**job.recipe(), **job.execute(folder, self.args.out)}
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            print(f'{job.title}: failed: {error}', flush=True)
            return False
        with self.lock:
            self.args.results.parent.mkdir(parents=True, exist_ok=True)
            with self.args.results.open('a') as file:
                file.write(json.dumps(line) + '\n')
        print(f'{job.title}: done in {time.monotonic() - begin:.0f} s', flush=True)
        return True


def train(run: Run, folder: Path, load_from: Path | None) -> dict[str, Any]:
    """Seconds of its thread, steps, peak memory in MiB and the scalars of the end of a training."""
    run.write_config(folder / 'config.py', load_from)
    for old in folder.glob('2*'):
        old.rename(folder / f'old_{old.name}_{time.time_ns()}')
    used = call(['tools/train.py', str(folder / 'config.py'), '--amp', '--work-dir', str(folder)],
                folder / 'train.log')
    if used is None:
        raise RuntimeError(f'the training failed{reason(folder / "train.log")}')
    entries = [json.loads(text) for path in folder.glob('2*/vis_data/scalars.json')
               for text in path.read_text().splitlines()]
    entries = [entry for entry in entries if 'loss' in entry]
    import torch
    return dict(seconds=round(used[0], 1), wall=round(used[2], 1), memory=round(used[1]), steps=entries[-1]['step'],
                torch=torch.__version__, machine=processor(),
                scalars={key: round(value, 4) for key, value in entries[-1].items() if key in KEPT})


def call(command: list[str], log: Path) -> tuple[float, float, float] | None:
    """Seconds of its thread, peak memory in MiB, and seconds by the clock of a process; None if it failed."""
    # batches this small gain nothing from a second thread
    env = {'OMP_NUM_THREADS': '1', **os.environ}
    measured = [sys.executable, '-c', 'import resource, subprocess, sys; '
                'code = subprocess.run([sys.executable, *sys.argv[1:]]).returncode; '
                'used = resource.getrusage(resource.RUSAGE_CHILDREN); '
                'print("measured", used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, flush=True); sys.exit(code)',
                *command]
    start = time.monotonic()
    with log.open('w') as file, subprocess.Popen(measured, cwd=ROOT, env=env, stdout=file, stderr=file) as process:
        while process.poll() is None:
            try:
                process.wait(timeout=HEARTBEAT)
            except subprocess.TimeoutExpired:
                # nobody may listen any more
                with contextlib.suppress(OSError):
                    print(f'{log}: {time.monotonic() - start:.0f} s{last_words(log)}', flush=True)
    if process.returncode:
        return None
    found = re.search(r'measured (\S+) (\S+)', log.read_text())
    return float(found[1]), float(found[2]), time.monotonic() - start


def reason(log: Path) -> str:
    """Why a tool failed, as its log has it, and where that lies."""
    errors = [line for line in log.read_text(errors='replace').splitlines() if line.startswith('error: ')]
    return f': {errors[-1].removeprefix("error: ")} (see {log})' if errors else f', see {log}'


def last_words(log: Path) -> str:
    """Where a training is, as the last line of its log about steps or epochs has it; empty for other tools."""
    found = re.findall(r'(Epoch\(\w+\) *(?:\[[\d/ ]+\])+).*?(eta: [\d:]+)', log.read_text(errors='replace'))
    return f', {", ".join(found[-1])}' if found else ''


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
        raise RuntimeError(f'the evaluation failed{reason(folder / "on_sets.log")}')
    return next(iter(json.loads(out.read_text()).values()))


def paired(values: dict[int, float], control: dict[int, float]) -> tuple[float, float]:
    """Mean difference over the seeds of both, and half of its 95% interval (Student's t; nan for one seed)."""
    differences = [values[seed] - control[seed] for seed in sorted(values.keys() & control.keys())]
    if not differences:
        return math.nan, math.nan
    if len(differences) < 2:
        return differences[0], math.nan
    half = student(len(differences) - 1) * statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), half


def student(freedom: int) -> float:
    """Two-sided 95% quantile of Student's t; beyond the table by the expansion of Cornish and Fisher."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = statistics.NormalDist().inv_cdf(.975)
    return (z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2)
            + (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3))


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
    return signed(mean) if math.isnan(half) else f'{signed(mean)} ± {half:.1f}'


def signed(value: float) -> str:
    """A difference with its sign, to a tenth."""
    return f'{round(value, 1) + 0.:+.1f}'
