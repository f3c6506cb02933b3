"""A tiny run of three epochs, and two that go on from its first two checkpoints."""
import os
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import Config

# follows a script that registers a hook ``Steps``, which prints
_RUNS = """
import sys
from pathlib import Path
from mmengine.config import Config
from mmactclr.apis import run_training


def run(folder, resume=False):
    cfg = Config.fromfile(sys.argv[1])
    cfg.custom_hooks.append(dict(type='Steps'))
    cfg.experiment_name = folder
    print('RUN', folder)
    run_training(cfg, work_dir=folder, resume=resume)


run('straight')
for epoch in (1, 2):
    run(f'resumed{epoch}', resume=str(Path('straight') / f'epoch_{epoch}.pth'))
"""
# of a tiny config, for such runs
OPTIONS = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None, 'train_cfg.max_epochs': 3,
           'default_hooks.checkpoint.max_keep_ckpts': 3, 'param_scheduler.milestones': [2]}


def run_and_resume(cfg: Config, hook: str, folder: Path) -> list[list[str]]:
    """Train, and go on from either checkpoint; the words of every line that was printed.

    Args:
        cfg: Config with :data:`OPTIONS`.
        hook: Script that registers a hook ``Steps``.
        folder: Where to run, in a process of its own with reproducible arithmetic.
    """
    cfg.dump(folder / 'config.py')
    environment = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', MKL_CBWR='COMPATIBLE',
                       CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(Path(__file__).resolve().parents[2]))
    done = subprocess.run([sys.executable, '-c', hook + _RUNS, 'config.py'], cwd=folder, text=True, env=environment,
                          capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Model and optimiser of the last checkpoint of a run, by name."""
    checkpoint = torch.load(folder / 'epoch_3.pth', weights_only=True)
    momentum = checkpoint['optimizer']['state']
    return {**checkpoint['state_dict'],
            **{f'momentum of {i}': one['momentum_buffer'] for i, one in momentum.items()}}


def check_equal(folder: Path, runs: dict[str, list]) -> dict[str, torch.Tensor]:
    """Both that went on did the same steps and ended bit for bit where the first did; its weights."""
    state = weights(folder / 'straight')
    for epoch in (1, 2):
        # 18 sequences, 6 a batch
        assert runs[f'resumed{epoch}'] == runs['straight'][3 * epoch:]
        resumed = weights(folder / f'resumed{epoch}')
        assert resumed.keys() == state.keys()
        assert not [name for name, value in state.items() if not torch.equal(value, resumed[name])]
    return state
