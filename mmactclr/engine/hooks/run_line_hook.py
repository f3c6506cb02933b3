"""What someone needs to run a training again."""
import json
import os
import platform
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import mmengine
import numpy
import torch
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.engine.data_watch import archives_of
from mmactclr.registry import HOOKS
from mmactclr.utils import recipe_hash, write_json
from mmactclr.utils.cli import command_line
from mmactclr.version import __version__

RUNS = 'run.json'


def code_version(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that a folder lies in and whether files that git knows differ from it; None outside.

    Args:
        folder: Folder of the code.
    """
    def git(*arguments: str) -> str:
        done = subprocess.run(['git', '-C', str(folder), *arguments], capture_output=True, text=True, timeout=10,
                              check=True, env={**os.environ, 'GIT_OPTIONAL_LOCKS': '0'})
        return done.stdout.strip()
    try:
        # a package that was installed into somebody's checkout is not of that checkout
        git('ls-files', '--error-unmatch', 'errors.py')
        return dict(commit=git('rev-parse', 'HEAD'),
                    changed=bool(git('status', '--porcelain', '--untracked-files=no')))
    except (OSError, subprocess.SubprocessError):
        return None


@HOOKS.register_module()
class RunLineHook(Hook):
    """Says in one line of the log what the run is made of, and appends it to ``run.json`` at every start.

    Versions, commit of the code, config as it was dumped into the work dir, seed, checksum of the data, processes,
    threads and the command. ``run.json`` is a list with an entry for every start of a run in this folder, so that
    restarts are seen, each with the epoch and the iteration that it went on from.
    """

    priority = 'VERY_HIGH'

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write both."""
        entry = describe_run(runner)
        path = Path(runner.work_dir) / RUNS
        write_json(path, [*_earlier(path), entry])
        code, data = entry['code'], entry['data']
        commit = f'{code["commit"][:12]}{" with changes" if code["changed"] else ""}' if code else 'not in a checkout'
        sums = ', '.join(f'{name} {checksum[:12]}' for name, checksum in data.items()) or 'no archive'
        versions = ' '.join(f'{name} {version}' for name, version in entry['versions'].items())
        runner.logger.info(
            f'run: {versions}; code {commit}; config {entry["config"]} (recipe {entry["recipe"][:12]}); seed '
            f'{entry["seed"]}; data {sums}; {entry["processes"]} processes of {entry["threads"]} threads on '
            f'{entry["device"]}; from epoch {entry["epoch"]}, iteration {entry["iteration"]}; {entry["command"]}')


def describe_run(runner: Runner) -> dict[str, Any]:
    """What a run is made of, in plain values."""
    cfg = runner.cfg
    name = Path(cfg.filename).name if cfg.filename else f'{runner.timestamp}.py'
    device = next(runner.model.parameters()).device
    return {
        'time': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'versions': {'mmactclr': __version__, 'torch': torch.__version__, 'mmengine': mmengine.__version__,
                     'numpy': numpy.__version__, 'python': platform.python_version()},
        'code': code_version(Path(__file__).resolve().parents[2]),
        # the runner dumps it there under that name
        'config': str(Path(runner.work_dir) / name), 'recipe': recipe_hash(cfg), 'seed': runner.seed,
        'data': {str(archive.path): archive.checksum for archive, _ in archives_of(runner.train_dataloader.dataset)},
        'processes': get_world_size(), 'threads': torch.get_num_threads(), 'launcher': cfg.get('launcher', 'none'),
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else f'CPU ({platform.machine()})',
        'host': platform.node(), 'epoch': runner.epoch, 'iteration': runner.iter,
        'resumed_from': str(runner._load_from) if runner._resume and runner._load_from else None,
        'command': shlex.join(command_line()),
        'environment': {key: os.environ[key] for key in (
            'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'MKL_CBWR', 'CUDA_VISIBLE_DEVICES', 'SLURM_JOB_ID',
            'SLURM_RESTART_COUNT') if key in os.environ}}


def _earlier(path: Path) -> list[dict[str, Any]]:
    """Entries of the starts before; what is no list is left as it is under another name."""
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except ValueError:
        found = None
    if isinstance(found, list):
        return found
    os.replace(path, path.with_name(f'{path.name}.unreadable'))
    return []
