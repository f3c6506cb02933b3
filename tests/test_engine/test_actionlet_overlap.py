"""Overlap of actionlet and motion region: the region from plain loops, the measure by hand, the hook in whole runs."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset

from mmactclr.apis import run_training
from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.datasets.synthetic import Nuisance, make_synthetic
from mmactclr.engine import ActionletOverlapHook
from mmactclr.engine.hooks.actionlet_overlap_hook import _synthetic_dataset
from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation import motion_region, overlap
from mmactclr.registry import CONVERTERS
from mmactclr.utils import load_config

SIZE = dict(num_subjects=3, repeats=1, num_cameras=2, seed=5)
NAMES = ('overlap_iou', 'on_motion', 'overlap_iou_chance', 'on_motion_chance')
FRAMES, CELLS = 32, 8


@pytest.fixture(scope='module')
def synthetic(tmp_path_factory) -> Path:
    """Folder of 51 synthetic sequences whose nuisances are not the defaults."""
    folder = tmp_path_factory.mktemp('synthetic') / 'data'
    CONVERTERS.build(dict(type='synthetic')).convert('-', folder, **SIZE, frames=(20, 60), yaw=90.0)
    return folder


def options(data_root: Path, **more) -> dict:
    """One of the synthetic configs at tiny size, an epoch of each stage."""
    return {'data_root': str(data_root), 'train_cfg.max_epochs': 2, 'val_cfg': None, 'val_dataloader': None,
            'val_evaluator': None, 'param_scheduler.T_max': 2, 'train_dataloader.batch_size': 10,
            'default_hooks.actionlet_overlap.interval': 1, 'default_hooks.actionlet_overlap.num': 12,
            'env_cfg.cudnn_benchmark': False, **more}


def train(config: str, data_root: Path, work_dir: Path, branch: str = 'model', hook: bool = True, **more):
    cfg = load_config(config, options(data_root, **{f'{branch}.stage_epochs': (1, 1)}, **more))
    if not hook:
        del cfg.default_hooks['actionlet_overlap']
    # loggers are shared by name
    cfg.experiment_name = f'{config}_{work_dir.name}'
    return run_training(cfg, work_dir)


def logged(work_dir: Path) -> list[dict]:
    lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if any('actionlet/' in name for name in entry)]


def plain_region(moving: np.ndarray, num_frames: int, cells: int) -> np.ndarray:
    """One person's joints that move, bool (T, V), on the grid of cells, joint by joint."""
    length = len(moving)
    position = (np.arange(num_frames) + 0.5) * length / num_frames - 0.5
    region = np.zeros((cells, moving.shape[1]), bool)
    for joint in range(moving.shape[1]):
        resized = np.interp(position, np.arange(length), moving[:, joint].astype(float))
        for cell in range(cells):
            near = [resized[t] for t in range(num_frames)
                    if np.argmin(np.abs(np.linspace(0, num_frames - 1, cells) - t)) == cell]
            region[cell, joint] = np.mean(near) > 0.5
    return region


def test_region_is_the_known_motion_at_the_times_of_the_prepared_frames(synthetic):
    archive = SkeletonArchive.open(synthetic)
    made = make_synthetic(**SIZE, nuisance=Nuisance(frames=(20, 60), yaw=90.0))
    index = [0, 7, 16, 33, 50]
    region = motion_region(archive, index, FRAMES, CELLS)
    assert region.shape == (5, 2, CELLS, 25) and region.dtype == torch.bool
    assert any(len(made.moving[i]) == 2 for i in index) and any(len(made.moving[i]) == 1 for i in index)
    for row, i in zip(region.numpy(), index, strict=True):
        for person in range(2):
            expected = (plain_region(made.moving[i][person], FRAMES, CELLS) if person < len(made.moving[i])
                        else np.zeros((CELLS, 25), bool))
            np.testing.assert_array_equal(row[person], expected)
    torch.testing.assert_close(motion_region(archive, index, FRAMES, CELLS, 1), region[:, :1])
    assert motion_region(archive, index, FRAMES, CELLS, 3)[:, 2].sum() == 0
    assert motion_region(archive, index, FRAMES, 1).shape == (5, 2, 1, 25)


def test_region_lies_on_the_limb_that_prepared_joints_show_moving(synthetic):
    """On the prepared joints, noise and sway and all, the region is where the speed is."""
    dataset = SkeletonDataset(synthetic, num_frames=FRAMES)
    region = motion_region(dataset.archive, dataset.index, FRAMES, FRAMES)
    joints = torch.from_numpy(dataset.prepared)
    speed = torch.zeros(joints.shape[:-1])
    speed[:, :, 1:] = (joints[:, :, 1:] - joints[:, :, :-1]).norm(dim=-1)
    assert speed[region].mean() > 3 * speed[~region].mean()
    wave = [i for i, label in enumerate(dataset.labels) if dataset.archive.classes[label] == 'wave right']
    parts = dataset.archive.layout.parts
    assert wave and region[wave][..., list(parts['right_arm'])].sum() > 0.9 * region[wave].sum()


def test_an_archive_of_recordings_is_refused(tiny_archive):
    with pytest.raises(ConfigError, match='synthetic set alone, the source of this archive is .made up.; take'):
        motion_region(SkeletonArchive.open(tiny_archive), [0], FRAMES, CELLS)


@pytest.mark.parametrize('change, says', [
    (dict(seed=6), 'sequence 0 differs'), (dict(repeats=2), '51 sequences, the set made again 102'),
    (dict(nuisance=dict(gravity=2)), "unexpected keyword argument 'gravity'")])
def test_an_archive_that_cannot_be_made_again_is_refused(synthetic, change, says):
    archive = SkeletonArchive.open(synthetic)
    archive.meta['extra'] |= change
    with pytest.raises(ConfigError, match=f'another version of the synthetic set .*{says}.*write it again'):
        motion_region(archive, [0], FRAMES, CELLS)


def test_overlap_by_hand():
    """Two persons; the second of each sequence is absent or stands still and does not count."""
    region = torch.zeros(2, 2, 1, 4, dtype=torch.bool)
    region[0, 0, 0, :2] = region[1, 0, 0, 3] = True
    actionlet = torch.zeros(2, 2, 1, 4)
    # mean 1.5: joints 1 and 2 are selected, one of the two that move; 3 of 6 lie on the motion
    actionlet[0, 0, 0] = torch.tensor([0.0, 3, 2, 1])
    # joint 3 alone, all of it on the motion
    actionlet[1, 0, 0] = torch.tensor([0.0, 0, 0, 5])
    actionlet[1, 1, 0] = torch.tensor([9.0, 0, 0, 0])
    scores = overlap(actionlet, region)
    assert tuple(scores) == NAMES
    assert scores['overlap_iou'] == pytest.approx((1 / 3 + 1) / 2)
    assert scores['on_motion'] == pytest.approx((3 / 6 + 1) / 2)
    assert overlap(actionlet * 1e-7, region) == pytest.approx(scores)


def test_overlap_of_the_region_itself_is_whole_and_of_its_complement_none():
    generator = torch.Generator().manual_seed(0)
    region = torch.rand(6, 2, CELLS, 25, generator=generator) < 0.3
    own, other = overlap(region.float(), region), overlap((~region).float(), region)
    assert own['overlap_iou'] == own['on_motion'] == 1 and other['overlap_iou'] == other['on_motion'] == 0
    # one joint of 25 stays where it was, the others land on the region as often as anything does
    assert own['on_motion_chance'] == pytest.approx(1 / 25 + 24 / 25 * 0.3, abs=0.02)
    nothing = overlap(torch.zeros(6, 2, CELLS, 25), region)
    assert set(nothing.values()) == {0.0}


def test_chance_knows_when_but_not_what():
    """An actionlet that is right in time and blind to joints is worth exactly chance."""
    region = torch.zeros(3, 1, CELLS, 25, dtype=torch.bool)
    region[:, :, 2:5, 4:8] = True
    blind = torch.zeros(3, 1, CELLS, 25)
    blind[:, :, 2:5] = 1.0
    scores = overlap(blind, region)
    assert scores['overlap_iou'] == scores['overlap_iou_chance'] == pytest.approx(4 / 25)
    assert scores['on_motion'] == scores['on_motion_chance'] == pytest.approx(4 / 25)


def test_overlap_draws_nothing_from_the_global_state_and_repeats_itself():
    generator = torch.Generator().manual_seed(0)
    actionlet = torch.rand(4, 2, CELLS, 25, generator=generator)
    region, before = actionlet > 0.8, torch.get_rng_state()
    assert overlap(actionlet, region) == overlap(actionlet, region)
    assert torch.equal(torch.get_rng_state(), before)


def test_overlap_refuses_what_it_cannot_measure():
    with pytest.raises(DataError, match=r'shape \(1, 1, 2, 3\), the region \(1, 1, 3, 3\)'):
        overlap(torch.ones(1, 1, 2, 3), torch.ones(1, 1, 3, 3, dtype=torch.bool))
    with pytest.raises(DataError, match='nobody moves'):
        overlap(torch.ones(1, 1, 2, 3), torch.zeros(1, 1, 2, 3, dtype=torch.bool))


def test_a_run_of_both_stages_logs_the_overlap_and_is_the_same_run(synthetic, tmp_path):
    """Measured at the start, after stage one and after stage two; weights as without the hook, bit for bit."""
    watched = train('actclr_joint_synthetic_xsub', synthetic, tmp_path / 'watched')
    alone = train('actclr_joint_synthetic_xsub', synthetic, tmp_path / 'alone', hook=False)
    for name, value in watched.model.state_dict().items():
        assert torch.equal(value, alone.model.state_dict()[name]), name

    entries = logged(tmp_path / 'watched')
    assert [entry['epoch'] for entry in entries] == [0, 1, 2] and not logged(tmp_path / 'alone')
    for name in NAMES:
        values = [entry[f'actionlet/{name}'] for entry in entries]
        assert all(0 < value < 1 for value in values) and len(set(values)) == 3
        assert watched.message_hub.get_scalar(f'actionlet/{name}').data[0].tolist() == values

    # the last numbers once more, from the trained model and the sequences that are said to be used
    dataset = watched.train_dataloader.dataset
    positions = np.linspace(0, len(dataset) - 1, 12).round().astype(int)
    batch = dataset.__getitems__(positions)
    found = watched.model.actionlet(batch['inputs'], batch['mask'])
    expected = overlap(found, motion_region(dataset.archive, dataset.index[positions], 32, found.shape[2]))
    assert {name: entries[-1][f'actionlet/{name}'] for name in NAMES} == expected
    text = next((tmp_path / 'watched').glob('*/*.log')).read_text()
    assert f"actionlet overlap, epoch 2: IoU {expected['overlap_iou']:.3f} (chance " in text


def test_every_branch_is_measured(synthetic, tmp_path):
    train('actclr_3s_synthetic_xsub', synthetic, tmp_path / 'three', branch='model.branch',
          **{'default_hooks.actionlet_overlap.interval': 2})
    entries = logged(tmp_path / 'three')
    assert [entry['epoch'] for entry in entries] == [0, 2]
    values = {entries[-1][f'{stream}.actionlet/overlap_iou'] for stream in ('joint', 'motion', 'bone')}
    assert len(values) == 3
    text = next((tmp_path / 'three').glob('*/*.log')).read_text()
    assert '; motion IoU ' in text and '; bone IoU ' in text


def test_a_resumed_run_goes_on_without_a_line_of_its_start(synthetic, tmp_path):
    train('actclr_joint_synthetic_xsub', synthetic, tmp_path / 'run', **{'default_hooks.checkpoint.interval': 1})
    cfg = load_config('actclr_joint_synthetic_xsub', options(synthetic, **{'model.stage_epochs': (1, 1)}))
    cfg.experiment_name = 'resumed'
    runner = run_training(cfg, tmp_path / 'resumed', resume=str(tmp_path / 'run' / 'epoch_1.pth'))
    assert [entry['epoch'] for entry in logged(tmp_path / 'resumed')] == [2]
    assert len(runner.message_hub.get_scalar('actionlet/overlap_iou').data[0]) == 3


def test_recordings_are_refused_before_the_first_step(tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive)
    cfg.custom_hooks.append(dict(type='ActionletOverlapHook'))
    with pytest.raises(ConfigError, match='synthetic set alone'):
        run_training(cfg, tmp_path)


def test_a_method_without_actionlets_is_refused(synthetic, tmp_path):
    cfg = load_config('moco_joint_synthetic_xsub', {'data_root': str(synthetic), 'train_cfg.max_epochs': 2})
    cfg.custom_hooks.append(dict(type='ActionletOverlapHook'))
    with pytest.raises(ConfigError, match='MoCo finds no actionlets, expected ActCLR; take the hook out'):
        run_training(cfg, tmp_path)


def test_joined_and_converted_training_sets_are_refused(synthetic):
    dataset = SkeletonDataset(synthetic, num_frames=FRAMES)
    assert _synthetic_dataset(dataset) is dataset
    with pytest.raises(ConfigError, match='is a ConcatDataset, expected a SkeletonDataset'):
        _synthetic_dataset(ConcatDataset([dataset]))
    dataset = SkeletonDataset(synthetic, num_frames=FRAMES, layout='kinect20_utdmhad', remap=True)
    with pytest.raises(ConfigError, match='converted to other joints .remap.'):
        _synthetic_dataset(dataset)


@pytest.mark.parametrize('arguments', [dict(interval=0), dict(num=0)])
def test_intervals_are_positive(arguments):
    with pytest.raises(ConfigError, match='expected 1 or more of each'):
        ActionletOverlapHook(**arguments)
