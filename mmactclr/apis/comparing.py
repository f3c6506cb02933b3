"""Results of training runs side by side: over epochs, and over the size of the memory."""
import fnmatch
import json
import math
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation.collecting import RESULTS
from mmactclr.utils import load_config, write_json
from mmactclr.visualization.curves import is_loss, read_history

from .run import run_test

#: Sizes of figure 2 of the supplement.
SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
# seconds that a run gets to end by itself once it was interrupted
_GRACE = 20
# lines of a failed run's output that are shown
_TAIL = 3


def epoch_lines(work_dirs: Sequence[str | Path], patterns: Sequence[str] = ('knn/*',)
                ) -> dict[str, dict[str, dict[int, float]]]:
    """Results of runs by epoch, ``{metric: {run: {epoch: value}}}``, from what they logged.

    Args:
        work_dirs: Folders of runs; a run is called by the part of its path that tells it from the others.
        patterns: Which results or losses, as for file names.

    Raises:
        DataError: If a folder has no log, or none of the runs has a number of these names.
        ConfigError: If there is no folder.
    """
    if not work_dirs:
        raise ConfigError('there is no work dir to read')
    histories = dict(zip(_names([Path(each) for each in work_dirs]), map(read_history, work_dirs), strict=True))
    known = dict.fromkeys(name for history in histories.values() for name in history)
    wanted = [name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if not wanted:
        kinds = {kind: [name for name in known if is_loss(name) == (kind == 'losses')]
                 for kind in ('results', 'losses')}
        raise DataError(f'no number of the runs is called {" or ".join(patterns)}; there are '
                        + '; '.join(f'{kind} {", ".join(names)}' for kind, names in kinds.items() if names))
    return {name: {run: history[name] for run, history in histories.items() if name in history} for name in wanted}


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that differ."""
    parts = [path.resolve().parts for path in paths]
    if len(set(parts)) < len(parts):
        raise ConfigError(f'a work dir is named twice: {", ".join(map(str, paths))}')
    depth = next(d for d in range(1, max(map(len, parts)) + 1) if len({each[-d:] for each in parts}) == len(parts))
    return ['/'.join(each[-depth:]) for each in parts]


@dataclass(frozen=True)
class SizedRun:
    """A run with a memory of some size.

    Attributes:
        size: Keys in the memory of each stream.
        epoch: Epochs that are done.
        epochs: Epochs that there are to do.
        metrics: Results of the last evaluation in percent, empty before the first.
        problem: Why it stopped, if it did not end.
        counts: Test sequences that results are shares of, by result, where the run says so.
    """

    size: int
    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    problem: str = ''
    counts: Mapping[str, int] = field(default_factory=dict)

    def standard_error(self, name: str) -> float | None:
        """That of a result in percentage points, binomial over the test sequences; None where nobody counted them."""
        share, count = self.metrics[name] / 100, self.counts.get(name)
        return None if not count else 100 * math.sqrt(share * (1 - share) / count)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done and evaluated."""
        return self.epoch >= self.epochs


def memory_options(cfg: Config, size: int) -> dict[str, Any]:
    """Overrides that give the method of a config a memory of another size.

    Raises:
        ConfigError: If it has no memory, or the size is not positive.
    """
    if size < 1:
        raise ConfigError(f'the size of a memory is {size}, expected 1 or more')
    for where in ('model', 'model.branch'):
        model = cfg.model if where == 'model' else cfg.model.get('branch') or {}
        if model.get('memory'):
            return {f'{where}.memory.size': size}
    raise ConfigError(f"{cfg.filename}: the method {cfg.model.get('type')} has no memory whose size could be changed")


def run_sizes(config: str | Path, work_dir: str | Path, train_tool: str | Path, sizes: Sequence[int] = SIZES,
              options: Mapping[str, Any] | None = None, words: Sequence[str] = (), time_limit: float | None = None
              ) -> list[SizedRun]:
    """Train a config with memories of several sizes, one after the other, and read what came of it.

    Each has a work dir ``size_N`` of its own. One that was interrupted, or ran into the limit, goes on from its newest
    checkpoint when this is called again; one that is finished is not run again.

    Args:
        config: Path or name of a config.
        work_dir: Folder for all of them, and for ``bank_sizes.json``.
        train_tool: The script that trains, tools/train.py.
        sizes: Keys in the memory.
        options: Overrides by dotted key, to know what will be run.
        words: The same as ``K=V``, as the command line takes them.
        time_limit: Seconds that a run may take in this call; None for as long as it takes.

    Raises:
        ConfigError: If the config has no memory.
    """
    work_dir, cfg = Path(work_dir), load_config(config, options)
    jobs = {size: memory_options(cfg, size) for size in dict.fromkeys(sizes)}
    found = []
    for size, more in jobs.items():
        folder = work_dir / f'size_{size}'
        state = read_sized_run(folder, size, cfg)
        if not state.finished:
            print(f'memory of {size}: from epoch {state.epoch} of {state.epochs}', flush=True)
            problem = _train(train_tool, config, folder, [*words, *(f'{key}={value}' for key, value in more.items())],
                             time_limit)
            state = read_sized_run(folder, size, cfg, problem)
            if not problem and not state.finished:
                _evaluate(config, folder, {**(options or {}), **more})
                state = read_sized_run(folder, size, cfg)
        found.append(state)
        write_json(work_dir / 'bank_sizes.json', [dict(vars(each), finished=each.finished) for each in found])
    return found


def read_sized_run(folder: Path, size: int, cfg: Config, problem: str = '') -> SizedRun:
    """What the work dir of one of the runs says."""
    epochs = int((cfg.get('train_cfg') or {}).get('max_epochs', 0))
    try:
        content = json.loads((folder / RESULTS).read_text(encoding='utf-8'))
        newest = max((content[mode] for mode in ('val', 'test') if mode in content), key=lambda each: each['epoch'])
        return SizedRun(size, int(newest['epoch']), epochs, newest['metrics'], problem,
                        {name: each['count'] for name, each in newest.get('outcomes', {}).items() if 'count' in each})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return SizedRun(size, 0, epochs, {}, problem)


def _evaluate(config: str | Path, folder: Path, options: Mapping[str, Any]) -> None:
    """Evaluate, as a validation would, the last epoch of a run that was stopped between its checkpoint and that."""
    cfg = load_config(config, options)
    checkpoint = folder / f'epoch_{cfg.train_cfg.max_epochs}.pth'
    if checkpoint.is_file():
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        cfg.test_cfg.baselines = {}
        run_test(cfg, checkpoint, folder)


def _train(train_tool: str | Path, config: str | Path, folder: Path, words: Sequence[str],
           time_limit: float | None) -> str:
    """Run a training in a process of its own; returns why it did not end, or nothing."""
    command = [sys.executable, str(train_tool), str(config), '--work-dir', str(folder), '--cfg-options', *words]
    if (folder / 'last_checkpoint').is_file():
        command.append('--resume')
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / 'output.txt'
    with log.open('w', encoding='utf-8') as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = process.wait(time_limit)
        except subprocess.TimeoutExpired:
            _stop(process)
            return f'stopped after {time_limit:g} s; run the same command again to go on'
        except BaseException:
            _stop(process)
            raise
    if code:
        lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
        return f'failed: {" ".join(" ".join(lines[-_TAIL:]).split())} (all of it: {log})'
    return ''


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
