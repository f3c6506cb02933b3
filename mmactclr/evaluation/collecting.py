"""One table of many runs, from the ``metrics.json`` that each leaves in its work dir."""
import fnmatch
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmactclr.errors import DataError

#: Name of the file that every run leaves.
RESULTS = 'metrics.json'
#: What a run's own numbers stand under, beside its baselines.
OWN = 'this checkpoint'
# evaluations in a file; the test counts where there are both
_MODES = ('test', 'val')


@dataclass(frozen=True)
class RunResult:
    """Numbers of one run, or of one of its baselines.

    Attributes:
        run: Work dir, relative to the folder that was searched; ``RUN/BASELINE`` for a baseline.
        config: Name of the config.
        split: Split of the data.
        checkpoint: File that was tested or started from, None from scratch.
        epoch: Epochs trained, None where it is not known.
        seeds: Seed of the run, of all of them where several are averaged.
        group: Equal for runs that differ in their seed alone.
        metrics: In percent by name.
        spread: Standard deviation over the seeds by name, empty for a single run.
    """

    run: str
    config: str
    split: str
    checkpoint: str | None
    epoch: int | None
    seeds: tuple[int | None, ...]
    group: tuple[Any, ...]
    metrics: Mapping[str, float]
    spread: Mapping[str, float]


def read_results(folders: Iterable[str | Path], baselines: bool = False) -> list[RunResult]:
    """Read every run below some folders, in the order of their names.

    Of several evaluations of one work dir the test counts, otherwise the validation. Accuracy by class and calibration
    error of a score are metrics ``SCORE_mean_class`` and ``SCORE_calibration``.

    Args:
        folders: Work dirs, or folders of many.
        baselines: Give the baselines of a test as well, each as a run of its own.

    Raises:
        DataError: If a folder or every result is missing, or a file is no such JSON.
    """
    found: list[RunResult] = []
    seen: set[Path] = set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f'{folder} is not a folder; give work dirs, or folders that hold some')
        for file in sorted(folder.rglob(RESULTS)):
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            name = file.parent.relative_to(folder).as_posix()
            found += _read_run(file, folder.name if name == '.' else name, baselines)
    if not found:
        raise DataError(f'no {RESULTS} below {", ".join(map(str, folders))}; a run leaves one after its first '
                        'evaluation')
    return found


def _read_run(file: Path, name: str, baselines: bool) -> list[RunResult]:
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        mode = next((mode for mode in _MODES if mode in content), None)
        if mode is None:
            # written by something else, such as the demo
            return []
        result = content[mode]
        config = result.get('config') or {}
        data = result.get('data') or {}
        checkpoint = result.get('checkpoint') or {}
        by_model: dict[str, dict[str, float]] = defaultdict(dict)
        for metric, value in result['metrics'].items():
            # evaluator/score, or baseline/evaluator/score
            *baseline, evaluator, score = metric.split('/')
            if value is not None:
                by_model['/'.join(baseline) or OWN][f'{evaluator}/{score}'] = float(value)
        for score, outcome in result.get('outcomes', {}).items():
            by_model[OWN][f'{score}_mean_class'] = float(outcome['mean_class_accuracy'])
            by_model[OWN][f'{score}_calibration'] = 100 * outcome['calibration_error']
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f'{file} is not what a run writes ({type(error).__name__}: {error}); move it away') from error
    return [RunResult(
        run=name if model == OWN else f'{name}/{model}', config=config.get('name') or '', split=data.get('split') or '',
        checkpoint=checkpoint.get('name') if model == OWN else None,
        epoch=result.get('epoch'), seeds=(result.get('seed'),),
        group=(model, config.get('hash'), data.get('checksum'), data.get('split'), checkpoint.get('sha256')),
        metrics=metrics, spread={}) for model, metrics in by_model.items() if model == OWN or baselines]


def over_seeds(results: Sequence[RunResult]) -> list[RunResult]:
    """Average runs that differ in their seed alone: mean and standard deviation of every metric.

    Runs on the same data, of the same recipe and from the same checkpoint are one group; training checkpoints of
    several seeds are different ones, so average the trainings, not tests of what they left. A seed that occurs twice
    counts once; its repetition stays a run by itself.
    """
    groups: dict[Any, list[RunResult]] = defaultdict(list)
    for number, result in enumerate(results):
        members = groups[result.group]
        # results without a hash, and repetitions of a seed, which say nothing of its spread, stay by themselves
        alone = not result.group[1] or any(result.seeds == member.seeds for member in members)
        (groups[number] if alone else members).append(result)
    return [members[0] if len(members) == 1 else _average(members) for members in groups.values() if members]


def _average(members: Sequence[RunResult]) -> RunResult:
    names = [name for name in members[0].metrics if all(name in member.metrics for member in members)]
    values = {name: [member.metrics[name] for member in members] for name in names}
    return replace(
        members[0], run=f'{members[0].run} and {len(members) - 1} more',
        seeds=tuple(seed for member in members for seed in member.seeds),
        metrics={name: statistics.fmean(found) for name, found in values.items()},
        spread={name: statistics.stdev(found) for name, found in values.items()})


def choose_metrics(results: Sequence[RunResult], patterns: Sequence[str] = ()) -> list[RunResult]:
    """Keep the metrics that match one of the patterns, and the runs that have one.

    Without patterns those of single streams, equal weights, confidence, mean over classes and calibration are left out.

    Raises:
        DataError: If nothing matches; the message has the names that there are.
    """
    def wanted(name: str) -> bool:
        if patterns:
            return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        evaluator, score = name.split('/')
        return '.' not in score and not score.endswith(('_equal', '_ci95', '_mean_class', '_calibration'))

    chosen = [replace(result, metrics={name: value for name, value in result.metrics.items() if wanted(name)})
              for result in results]
    chosen = [result for result in chosen if result.metrics]
    if not chosen:
        names = sorted({name for result in results for name in result.metrics})
        raise DataError(f'no metric matches {" ".join(patterns)}; there are {", ".join(names)}')
    return chosen


def as_records(results: Sequence[RunResult]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of a long table: a row a number."""
    header = ['run', 'config', 'split', 'checkpoint', 'epoch', 'seeds', 'metric', 'value', 'std']
    return header, [[result.run, result.config, result.split, result.checkpoint or '', _text(result.epoch),
                     _seeds(result), name, f'{value:.4f}',
                     f'{result.spread[name]:.4f}' if name in result.spread else '']
                    for result in results for name, value in result.metrics.items()]


def as_markdown(results: Sequence[RunResult], single: bool = False) -> str:
    """Tables in Markdown.

    Args:
        results: The runs.
        single: One table for all, with a dash where a run lacks a metric, rather than one for the runs that have the
            same metrics.
    """
    tables: dict[tuple[str, ...], list[RunResult]] = defaultdict(list)
    union = tuple(dict.fromkeys(name for result in results for name in result.metrics))
    for result in results:
        tables[union if single else tuple(result.metrics)].append(result)
    return '\n\n'.join(_markdown(names, rows) for names, rows in tables.items())


def _markdown(names: Sequence[str], results: Sequence[RunResult]) -> str:
    head = ['run', 'split', 'checkpoint', 'epoch', 'seeds', *names]
    lines = [[result.run, result.split, result.checkpoint or '', _text(result.epoch), _seeds(result),
              *(_cell(result, name) for name in names)] for result in results]
    # what is the same and empty everywhere says nothing
    kept = [k for k in range(len(head)) if any(line[k] for line in lines)]
    rows = [head, ['---'] * len(head), *lines]
    return '\n'.join('| ' + ' | '.join(row[k] for k in kept) + ' |' for row in rows)


def _cell(result: RunResult, name: str) -> str:
    if name not in result.metrics:
        return '-'
    spread = f' ± {result.spread[name]:.1f}' if name in result.spread else ''
    return f'{result.metrics[name]:.1f}{spread}'


def _seeds(result: RunResult) -> str:
    return ' '.join(_text(seed) for seed in result.seeds)


def _text(value: Any) -> str:
    return '' if value is None else str(value)
