"""Runs of AimCLR and SkeleMixCLR at tiny size: their losses, their switch, and resuming on either side of it."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import shutil
import sys
from pathlib import Path
from mmengine.config import Config
from mmengine.hooks import Hook
from mmactclr.apis import run_training
from mmactclr.registry import HOOKS

@HOOKS.register_module()
class Steps(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        branch = next(iter(runner.model.branches().values()))
        print('STEP', runner.epoch + 1, getattr(branch, 'mining', False),
              float(outputs.get('positives', outputs.get('joint.positives', 1))), ','.join(outputs))

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
# mining starts in the second of three epochs
SWITCH = {'aimclr_joint_ntu60_xsub': {'model.mining_epoch': 1},
          'aimclr_3s_ntu60_xsub': {'model.branch.mining_epoch': 1}, 'skelemixclr-plus_joint_ntu60_xsub': {}}


@pytest.mark.parametrize('config', SWITCH)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(config, tiny_archive, tiny_config, tmp_path, repo_root):
    cfg = tiny_config(tiny_archive, config, **SWITCH[config], val_cfg=None, val_dataloader=None, val_evaluator=None,
                      **{'train_cfg.max_epochs': 3, 'default_hooks.checkpoint.max_keep_ckpts': 3,
                         'param_scheduler.milestones': [2]})
    cfg.dump(tmp_path / 'config.py')
    # one thread and reproducible arithmetic, in a process of its own
    environment = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', MKL_CBWR='COMPATIBLE',
                       CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(repo_root))
    done = subprocess.run([sys.executable, '-c', SCRIPT, 'config.py'], cwd=tmp_path, text=True, env=environment,
                          capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]

    runs: dict[str, list[tuple[int, bool, float, str]]] = {}
    for line in done.stdout.splitlines():
        if line.startswith('RUN '):
            steps = runs.setdefault(line.split()[1], [])
        elif line.startswith('STEP '):
            _, epoch, mining, positives, names = line.split()
            steps.append((int(epoch), mining == 'True', float(positives), names))
    assert [step[0] for step in runs['straight']] == [1] * 3 + [2] * 3 + [3] * 3
    for epoch, mining, positives, _ in runs['straight']:
        assert mining == ('aimclr' in config and epoch > 1) == (positives > 1), (epoch, positives)
    state = weights(tmp_path / 'straight')
    for epoch in (1, 2):
        assert runs[f'resumed{epoch}'] == runs['straight'][3 * epoch:]
        resumed = weights(tmp_path / f'resumed{epoch}')
        assert resumed.keys() == state.keys()
        assert not [name for name, value in state.items() if not torch.equal(value, resumed[name])]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Model and optimiser of the last checkpoint of a run, by name."""
    checkpoint = torch.load(folder / 'epoch_3.pth', weights_only=True)
    momentum = checkpoint['optimizer']['state']
    return {**checkpoint['state_dict'],
            **{f'momentum of {i}': one['momentum_buffer'] for i, one in momentum.items()}}
