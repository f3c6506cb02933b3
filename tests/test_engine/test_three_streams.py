"""One run of three streams is three runs of one stream each, to the last bit."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

STREAMS = ('joint', 'motion', 'bone')
SCRIPT = """
import sys
from mmengine.config import Config
from mmactclr.apis import run_training
for path in sys.argv[1:]:
    cfg = Config.fromfile(path)
    run_training(cfg, work_dir=path.removesuffix('.py'))
"""


@pytest.mark.parametrize('config, dropout', [('actclr', 0.5), ('actclr-release', 0.0)])
def test_a_run_of_three_streams_is_three_runs_of_one(config, dropout, tiny_archive, tiny_config, tmp_path, repo_root):
    """Weights, memory, anchor and momentum buffers after both stages, dropout and partners included."""
    off = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    files = []
    for stream in ('3s', *STREAMS):
        name = f'{config}_{stream}_ntu60_xview'
        branch = 'model.branch' if stream == '3s' else 'model'
        cfg = tiny_config(tiny_archive, name, split='xsub', **off, **{f'{branch}.backbone.dropout': dropout})
        files.append(tmp_path / f'{stream}.py')
        cfg.dump(files[-1])
    # one thread and reproducible arithmetic, in a process of its own
    environment = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', MKL_CBWR='COMPATIBLE',
                       CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(repo_root))
    done = subprocess.run([sys.executable, '-c', SCRIPT, *map(str, files)], cwd=tmp_path, text=True, env=environment,
                          capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]

    three, *single = (read(tmp_path / stream / 'epoch_2.pth') for stream in ('3s', *STREAMS))
    weights = {name: value for name, value in three.items() if name.startswith('stream_branches.')}
    assert len(weights) == sum(map(len, single)) > 100
    for stream, state in zip(STREAMS, single, strict=True):
        for name, value in state.items():
            assert torch.equal(value, weights[f'stream_branches.{stream}.{name}']), (stream, name)
    joint, motion, bone = single
    assert not torch.equal(joint['memory.keys'], motion['memory.keys'])
    assert not torch.equal(motion['memory.keys'], bone['memory.keys'])


def read(path: Path) -> dict[str, torch.Tensor]:
    """Weights and buffers of a checkpoint."""
    return torch.load(path, weights_only=True)['state_dict']
