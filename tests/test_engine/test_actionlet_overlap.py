"""Overlap of actionlets with what is known to move."""
import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.datasets.synthetic import make_synthetic
from mmactclr.engine import ActionletOverlapHook
from mmactclr.errors import ConfigError
from mmactclr.evaluation import motion_region, overlap
from mmactclr.registry import CONVERTERS, MODELS
from mmactclr.utils import load_config

SIZE = dict(num_subjects=3, repeats=1, num_cameras=2, seed=4)


@pytest.fixture(scope='module')
def archive(tmp_path_factory) -> SkeletonArchive:
    return CONVERTERS.build(dict(type='synthetic')).convert('-', tmp_path_factory.mktemp('made') / 'set', **SIZE)


@pytest.mark.parametrize('cells', [4, 8, 16])
def test_the_region_is_the_moving_joints_at_the_rate_of_the_feature_map(archive, cells):
    index = [3, 0, 40]
    found = motion_region(archive, index, num_frames=16, max_persons=2, cells=cells)
    assert found.shape == (3, 2, cells, 25) and 0 <= found.min() and found.max() <= 1
    for row, i in zip(found, index, strict=True):
        moving = make_synthetic(**SIZE).moving[i]
        for m, body in enumerate(moving):
            # half-pixel centres, linear, then the mean over the frames of a cell
            at = np.clip((np.arange(16) + .5) * len(body) / 16 - .5, 0, len(body) - 1)
            resized = np.stack([np.interp(at, np.arange(len(body)), body[:, v]) for v in range(25)], 1)
            expected = resized.reshape(cells, 16 // cells, 25).mean(1)
            np.testing.assert_allclose(row[m].numpy(), expected, atol=1e-5)
        assert not row[len(moving):].any()


def test_data_without_known_motion_are_refused(tiny_archive):
    with pytest.raises(ConfigError, match='known of the built-in set alone'):
        motion_region(SkeletonArchive.open(tiny_archive), [0], 16, 2, 4)


def test_a_set_of_another_version_is_refused(archive, monkeypatch):
    monkeypatch.setitem(archive.meta['extra'], 'seed', 5)
    with pytest.raises(ConfigError, match='made by another version'):
        motion_region(archive, [0], 16, 2, 4)


def test_overlap_counts_cells_and_weighs_shares():
    region = torch.zeros(1, 1, 2, 10)
    region[..., :4] = 1
    exact = overlap(region.clone(), region, torch.ones(1, 1, dtype=torch.bool))
    assert exact['iou'] == 1 and exact['share'] == 1 and exact['share_chance'] == pytest.approx(.4)
    half = torch.zeros(1, 1, 2, 10)
    half[..., 2:6] = torch.tensor([3., 3., 1., 1.])  # two of four cells on the region, with three quarters of A
    found = overlap(half, region, torch.ones(1, 1, dtype=torch.bool))
    assert found['iou'] == pytest.approx(2 / 6) and found['share'] == pytest.approx(.75)
    away = overlap(1 - region, region, torch.ones(1, 1, dtype=torch.bool))
    assert away['iou'] == away['share'] == 0


def test_chance_is_what_random_cells_reach():
    generator = torch.Generator().manual_seed(0)
    region = (torch.rand(400, 1, 10, 25, generator=generator) < .3).float()
    found = overlap(torch.rand(400, 1, 10, 25, generator=generator), region, torch.ones(400, 1, dtype=torch.bool))
    assert found['iou'] == pytest.approx(found['iou_chance'], abs=.01)
    assert found['share'] == pytest.approx(found['share_chance'], abs=.01)


def test_absent_and_still_persons_do_not_count():
    region, actionlet = torch.zeros(2, 2, 2, 5), torch.rand(2, 2, 2, 5)
    mask = torch.tensor([[True, False], [True, True]])
    assert overlap(actionlet, region, mask) == {}
    region[0, 1] = 1  # an absent one
    assert overlap(actionlet, region, mask) == {}
    region[1, 0, :, :2] = 1
    alone = overlap(actionlet[1:, :1], region[1:, :1], mask[1:, :1])
    assert overlap(actionlet, region, mask) == alone


# the hook

class Scalars:
    """Keeps what a visualiser backend would write."""

    def __init__(self):
        self.steps = {}

    def add_scalars(self, scalars, step):
        self.steps.setdefault(step, {}).update(scalars)


def runner_for(model, dataset):
    return SimpleNamespace(model=model, epoch=0, max_epochs=4, visualizer=Scalars(), _max_epochs=4,
                           logger=logging.getLogger('overlap'), train_dataloader=SimpleNamespace(dataset=dataset))


@pytest.mark.parametrize('config', ['actclr_joint_synthetic_xsub', 'actclr_3s_synthetic_xsub'])
def test_it_looks_before_training_and_every_few_epochs(archive, config, caplog):
    cfg = load_config(config, {'data_root': str(archive.path)})
    assert cfg.default_hooks.actionlet_overlap.type == 'ActionletOverlapHook'
    model, dataset = MODELS.build(cfg.model), SkeletonDataset(archive.path, num_frames=32)
    for branch in model.branches().values():
        branch.set_anchor(torch.from_numpy(dataset.prepared).mean(0))
    state = torch.get_rng_state()
    runner, hook = runner_for(model, dataset), ActionletOverlapHook(interval=2, num=7)
    with caplog.at_level(logging.INFO):
        hook.before_train(runner)
        for runner.epoch in range(4):
            hook.after_train_epoch(runner)
    assert list(runner.visualizer.steps) == [0, 2, 4]
    assert torch.equal(torch.get_rng_state(), state) and model.training
    streams = [''] if 'joint' in config else ['joint.', 'motion.', 'bone.']
    assert set(runner.visualizer.steps[0]) == {
        f'{stream}actionlet/{name}' for stream in streams for name in ('iou', 'iou_chance', 'share', 'share_chance')}
    branch = next(iter(model.branches().values()))
    rows = np.linspace(0, len(dataset) - 1, 7).astype(int)
    batch = dataset.__getitems__(rows)
    found = branch.actionlet(batch['inputs'], batch['mask'])
    region = motion_region(archive, dataset.index[rows].tolist(), 32, 2, found.shape[2])
    expected = overlap(found, region, batch['mask'])
    assert runner.visualizer.steps[4][f'{streams[0]}actionlet/iou'] == pytest.approx(expected['iou'])
    assert caplog.text.count('actionlet against what moves') == 3 * len(streams)
    json.dumps(runner.visualizer.steps)


@pytest.mark.parametrize('config, message', [
    ('moco_joint_synthetic_xsub', 'MoCo has no actionlets'), ('actclr_joint_utdmhad_xsub', 'built-in set alone')])
def test_runs_in_which_nothing_is_known_are_refused_at_the_start(tiny_archive, config, message):
    cfg = load_config(config, {'data_root': str(tiny_archive), 'max_persons': 2})
    model, dataset = MODELS.build(cfg.model), SkeletonDataset(tiny_archive, num_frames=32)
    for branch in model.branches().values():
        if hasattr(branch, 'set_anchor'):
            branch.set_anchor(torch.from_numpy(dataset.prepared).mean(0))
    with pytest.raises(ConfigError, match=message):
        ActionletOverlapHook().before_train(runner_for(model, dataset))


@pytest.mark.parametrize('numbers', [dict(interval=0), dict(num=0)])
def test_numbers_are_positive(numbers):
    with pytest.raises(ConfigError, match='expected 1 or more'):
        ActionletOverlapHook(**numbers)
