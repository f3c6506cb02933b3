"""What a work dir says of its run: config, seed, data, versions, checkpoints and results."""
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmactclr.engine.hooks.run_line_hook import RUNS
from mmactclr.errors import DataError
from mmactclr.evaluation.collecting import OWN, RESULTS

# lines of the log's first block that are worth a line of a report
_ENVIRONMENT = ('Python', 'PyTorch', 'MMEngine', 'CUDA available', 'GPU 0', 'Distributed launcher', 'GPU number')
_STAMP = re.compile(r'\d{8}_\d{6}')


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run; what is not known is None or empty, and ``missing`` says why.

    Attributes:
        work_dir: Its folder.
        config: That of the newest training, or of the newest test where there was no training.
        config_file: Where it lies.
        checkpoint: The newest one.
        mode: ``test`` or ``val``: which evaluation ``result`` is.
        result: What ``metrics.json`` says of it.
        training: What ``metrics.json`` says of the training.
        environment: Versions and devices by name, as the log states them.
        started: When each run in the folder was started, YYYYMMDD_HHMMSS.
        command: The line that the newest training was started by.
        missing: What is not there and what would put it there.
    """

    work_dir: Path
    config: Config | None = None
    config_file: Path | None = None
    checkpoint: Path | None = None
    mode: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    started: tuple[str, ...] = ()
    command: str | None = None
    missing: tuple[str, ...] = ()

    def scores(self) -> dict[str, dict[str, float]]:
        """Results in percent, ``{row: {metric: value}}``; baselines first, the run itself last."""
        rows: dict[str, dict[str, float]] = {}
        own: dict[str, float] = {}
        for name, value in (self.result.get('metrics') or {}).items():
            parts = name.split('/')
            if len(parts) > 2:
                rows.setdefault(parts[0].replace('_', ' '), {})['/'.join(parts[1:])] = value
            elif len(parts) == 2:
                own[name] = value
        # as the config lists them; the file has them by the alphabet
        listed = [name.replace('_', ' ') for name in ((self.config or {}).get('test_cfg') or {}).get('baselines') or ()]
        place = {name: i for i, name in enumerate(listed)}
        rows = {name: rows[name] for name in sorted(rows, key=lambda name: place.get(name, len(place)))}
        return {**rows, OWN: own} if own else rows


def read_run(work_dir: str | Path, checkpoint: str | Path | None = None) -> RunFacts:
    """Read what a work dir says of its run.

    Args:
        work_dir: Folder of tools/train.py or tools/test.py.
        checkpoint: Take this one instead of the newest.

    Raises:
        DataError: If there is no such folder, or nothing of a run in it, or the checkpoint that was named is missing.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise DataError(f'{folder}: there is no such folder; give the work dir of tools/train.py or tools/test.py')
    runs = sorted(path for path in folder.iterdir() if path.is_dir() and _STAMP.fullmatch(path.name))
    if not runs and not (folder / RESULTS).is_file():
        raise DataError(f'{folder}: there is neither a log nor a {RESULTS}; give the work dir of tools/train.py or '
                        'tools/test.py')
    missing: list[str] = []
    config, config_file = _newest_config(runs, missing)
    mode, result, training = _result(folder, missing)
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise DataError(f'checkpoint {str(checkpoint)!r}: there is no such file')
    found = Path(checkpoint) if checkpoint is not None else _newest_checkpoint(folder)
    tested = (config or {}).get('load_from')
    if found is None and isinstance(tested, str) and Path(tested).is_file():
        found = Path(tested)
    if found is None:
        missing.append('There is no checkpoint epoch_N.pth in the work dir: no actionlets, neighbours and mistakes. '
                       'Name one with --checkpoint.')
    return RunFacts(folder, config, config_file, found, mode, result, training,
                    _environment(runs), tuple(path.name for path in runs), _command(folder), tuple(missing))


def _command(folder: Path) -> str | None:
    """What RunLineHook noted of the newest start."""
    try:
        found = json.loads((folder / RUNS).read_text(encoding='utf-8'))[-1]['command']
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _newest_config(runs: list[Path], missing: list[str]) -> tuple[Config | None, Path | None]:
    chosen: tuple[Config | None, Path | None] = None, None
    for path in reversed([run / 'vis_data' / 'config.py' for run in runs]):
        if not path.is_file():
            continue
        try:
            cfg = Config.fromfile(str(path))
        except Exception as error:  # a config is Python: it may fail in any way
            missing.append(f'{path} cannot be read: {type(error).__name__}: {error}')
            continue
        if cfg.get('train_cfg'):
            return cfg, path
        # of a test, which has no training part
        if chosen[0] is None:
            chosen = cfg, path
    if chosen[0] is None:
        missing.append('No run in the work dir left its config (*/vis_data/config.py): what was trained is not known.')
    return chosen


def _result(folder: Path, missing: list[str]) -> tuple[str | None, Mapping[str, Any], Mapping[str, Any]]:
    path = folder / RESULTS
    if not path.is_file():
        missing.append(f'There is no {RESULTS}: neither a validation nor a test has ended. Run tools/test.py with this '
                       'work dir.')
        return None, {}, {}
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        for mode in ('test', 'val'):
            if isinstance(content.get(mode), dict) and content[mode].get('metrics'):
                return mode, content[mode], (content.get('val') or {}).get('training') or {}
    except (OSError, ValueError, AttributeError) as error:
        missing.append(f'{path} cannot be read: {error}')
        return None, {}, {}
    missing.append(f'{path} holds no results.')
    return None, {}, {}


def _newest_checkpoint(folder: Path) -> Path | None:
    numbered = {int(match[1]): path for path in folder.glob('*.pth')
                if (match := re.fullmatch(r'(?:epoch|iter)_(\d+)\.pth', path.name))}
    return numbered[max(numbered)] if numbered else None


def _environment(runs: list[Path]) -> dict[str, str]:
    """What the newest log says in its first block."""
    for run in reversed(runs):
        for log in sorted(run.glob('*.log')):
            with log.open(encoding='utf-8', errors='replace') as file:
                lines = [line.strip() for line, _ in zip(file, range(80), strict=False)]
            found = {name: line[len(name) + 2:] for name in _ENVIRONMENT for line in lines
                     if line.startswith(f'{name}: ')}
            if found:
                return found
    return {}
