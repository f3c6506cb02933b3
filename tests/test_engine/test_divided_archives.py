"""Two processes that each read archives of their own train one model."""
import json

import numpy as np
import pytest

from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.datasets.editing import shard_archive
from mmactclr.engine.checkpoints import read_checkpoint
from mmactclr.engine.hooks.static_anchor_hook import mean_motion
from tests.test_engine.test_distributed import ACTCLR, REPORT, run


@pytest.fixture(scope='module')
def trained(tiny_archive, tiny_config, tmp_path_factory, repo_root):
    """ActCLR on four parts of an archive, one epoch in each stage; config and folder of the run."""
    folder = tmp_path_factory.mktemp('divided')
    shard_archive(tiny_archive, folder / 'parts', 4)
    cfg = tiny_config(tiny_archive, ACTCLR, **{'train_dataloader.batch_size': 4})
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[name] = None
    plain = {name: cfg.train_dataloader.dataset[name] for name in ('layout', 'num_frames', 'max_persons')}
    cfg.train_dataloader.dataset = dict(
        type='ShardedSkeletonDataset', archives=str(folder / 'parts' / '*'), divide=True, split=cfg.split, **plain)
    cfg.train_dataloader.sampler = dict(type='ShardSampler')
    cfg.custom_hooks.append(dict(type='RankReport'))
    cfg.custom_imports = dict(imports=['rank_report'], allow_failed_imports=False)
    (folder / 'rank_report.py').write_text(REPORT)
    cfg.dump(folder / 'config.py')
    done = run('dist_train.sh', 'config.py', 2, '--work-dir', 'run', cwd=folder, root=repo_root, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    return cfg, folder


def test_each_reads_its_own_and_both_hold_one_model(trained):
    _, folder = trained
    ranks = [json.loads((folder / 'run' / f'rank{rank}.json').read_text()) for rank in range(2)]
    counts = [len(SkeletonArchive.open(path)) for path in sorted((folder / 'parts').iterdir())]
    offsets = np.cumsum([0, *counts])
    for rank, steps in enumerate(ranks):
        read = {int(np.searchsorted(offsets, i, side='right')) - 1 for step in steps for i in step['index']}
        assert read == {rank, rank + 2}
    for first, second in zip(*ranks, strict=True):
        assert first['state'] == second['state'] and first['index'] != second['index']


def test_the_anchor_is_the_mean_of_all(trained, tiny_archive):
    cfg, folder = trained
    state = read_checkpoint(folder / 'run' / 'epoch_2.pth')['state_dict']
    whole = SkeletonDataset(tiny_archive, cfg.split, **{
        name: cfg.train_dataloader.dataset[name] for name in ('num_frames', 'max_persons')})
    np.testing.assert_allclose(state['module.anchor' if 'module.anchor' in state else 'anchor'].numpy(),
                               mean_motion(whole).numpy(), atol=1e-6)
