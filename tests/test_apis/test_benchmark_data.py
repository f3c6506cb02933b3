"""The plain pipeline does the same as the batched transforms, and what the data benchmark says of memory is so."""
import argparse
import math
import tracemalloc

import numpy as np
import pytest
import torch

from mmactclr.apis.benchmark import data
from mmactclr.apis.benchmark import plain_augmentation as plain
from mmactclr.datasets import prepared_sequences
from mmactclr.errors import ConfigError
from mmactclr.structures import get_layout
from mmactclr.transforms import SampleRandom, build_transforms
from mmactclr.utils import load_config

LAYOUT = get_layout('ntu25')
N, PRESENT = 8, np.array([True, False])
IDIOMS = pytest.mark.parametrize('idiom', [plain.PUBLIC, plain.TUNED], ids=['public', 'tuned'])


def batch_of(n=N, frames=50):
    """Random walks whose second person is absent: (N, M, T, V, C) and (N, M)."""
    joints = np.random.default_rng(3).normal(size=(n, 2, frames, LAYOUT.num_joints, 3)).cumsum(2) * 0.1
    joints *= PRESENT[:, None, None, None]
    return torch.from_numpy(joints.astype(np.float32)), torch.tensor(PRESENT).expand(n, 2)


def batched(config, joints, mask):
    """What a batched transform makes of the joints, as (C, T, V, M) of each sample."""
    transform, = build_transforms([config])
    return rows(transform(dict(keypoint=joints, mask=mask, layout=LAYOUT, random=draws(len(joints))))['keypoint'])


def rows(joints):
    return joints.permute(0, 4, 2, 3, 1).numpy()


def draws(n=N):
    return SampleRandom(0, 0, range(n), 'view')


def check(found, expected, **tolerance):
    np.testing.assert_allclose(found, expected, **{'atol': 2e-6, **tolerance})


def test_crop_takes_the_same_frames():
    joints, mask = batch_of()
    shifts = draws().integers(-8, 9).tolist()
    assert len(set(shifts)) > 3
    expected = [plain.crop(x, shift + 8) for x, shift in zip(rows(joints), shifts, strict=True)]
    check(batched(dict(type='RandomTemporalCrop'), joints, mask), expected, atol=0)


@IDIOMS
def test_shear_and_rotation_are_the_same_maps(idiom):
    joints, mask = batch_of()
    entries = draws().uniform(6, low=-0.5, high=0.5).numpy()
    expected = []
    for x, values in zip(rows(joints), entries, strict=True):
        matrix = np.eye(3, dtype=np.float32)
        matrix[~np.eye(3, dtype=bool)] = values
        expected.append(idiom.linear_map(x, [matrix], LAYOUT.centre))
    check(batched(dict(type='RandomShear'), joints, mask), expected)

    random = draws()
    axes, share = random.integers(0, 3).tolist(), random.uniform(3).numpy()
    expected = []
    for x, axis, values in zip(rows(joints), axes, share, strict=True):
        angles = np.deg2rad(values * np.where(np.arange(3) == axis, plain.MAX_MAIN_ANGLE, plain.MAX_OTHER_ANGLE))
        expected.append(idiom.linear_map(x, plain.rotation_matrices(angles), LAYOUT.centre))
    check(batched(dict(type='RandomRotation'), joints, mask), expected)


def test_flip_and_axis_mask_are_the_same():
    joints, mask = batch_of()
    check(batched(dict(type='RandomFlip', p=1.), joints, mask), [plain.flip(x, LAYOUT) for x in rows(joints)], atol=0)
    random = draws()
    random.chance(1.)
    axes = random.integers(0, 3).tolist()
    check(batched(dict(type='AxisMask', p=1.), joints, mask),
          [plain.mask_axis(x, axis) for x, axis in zip(rows(joints), axes, strict=True)], atol=0)


def test_blur_is_the_same_filter():
    joints, mask = batch_of()
    random = draws()
    random.chance(1.)
    sigmas = random.uniform(low=0.1, high=2.).tolist()
    check(batched(dict(type='GaussianBlur', p=1.), joints, mask),
          [plain.blur(x, sigma) for x, sigma in zip(rows(joints), sigmas, strict=True)])


def test_tempo_and_bone_rescale_are_the_same():
    joints, mask = batch_of(n=16)
    random = draws(16)
    random.chance(1.)
    lengths = (random.uniform(low=0.5, high=1.5) * 50).floor().int().tolist()
    assert min(lengths) < 50 < max(lengths)
    # positions are computed in float32 there and in float64 here
    check(batched(dict(type='TimeInterpolate', p=1.), joints, mask),
          [plain.change_tempo(x, length) for x, length in zip(rows(joints), lengths, strict=True)], atol=1e-5)
    factors = draws(16).uniform(25, low=0., high=0.5).numpy()
    check(batched(dict(type='BoneRescale'), joints, mask),
          [plain.rescale_bones(x, factor, LAYOUT) for x, factor in zip(rows(joints), factors, strict=True)])


@IDIOMS
def test_noise_is_as_strong_and_as_frequent(idiom):
    joints, mask = batch_of(n=400, frames=4)
    pipeline = plain.PlainAugmentation(LAYOUT, np.random.default_rng(0), idiom)
    found = np.stack([pipeline._noisy(x, plain.NOISE, PRESENT) for x in rows(joints)])
    for changed in (found, batched(dict(type='GaussianNoise'), joints, mask)):
        noise = changed - rows(joints)
        assert not noise[..., 1].any()
        taken = noise.reshape(400, -1).any(1)
        # three standard deviations of a share of 400
        assert taken.mean() == pytest.approx(0.5, abs=0.075)
        assert noise[taken][..., 0].std() == pytest.approx(0.01, rel=0.02)


def test_draws_of_the_plain_pipeline_have_the_ranges_of_the_method():
    rng = np.random.default_rng(0)
    shears = np.stack([plain.shear_matrix(rng) for _ in range(300)])
    assert (np.diagonal(shears, axis1=1, axis2=2) == 1).all()
    angles = np.rad2deg([plain.rotation_angles(rng) for _ in range(300)])
    assert (np.sort(angles)[:, :2] <= 1).mean() > 0.95 and 28 < angles.max() <= 30
    assert np.bincount(angles.argmax(1), minlength=3).min() > 70
    entries = shears[:, ~np.eye(3, dtype=bool)]
    assert -0.5 <= entries.min() < -0.49 and 0.49 < entries.max() <= 0.5


@IDIOMS
def test_views_of_absent_persons_are_empty_and_others_finite(idiom):
    joints, mask = batch_of()
    pipeline = plain.PlainAugmentation(LAYOUT, np.random.default_rng(0), idiom)
    views = pipeline.batch(rows(joints), mask.numpy())
    assert set(views) == set(data.VIEWS)
    for view in views.values():
        assert view.shape == (N, 3, 50, 25, 2) and view.dtype == np.float32
        assert np.isfinite(view).all() and view[..., 0].any() and not view[..., 1].any()


def test_constants_are_those_of_the_preset():
    """The transforms that the configured views name, in their order, with their numbers."""
    views = load_config('actclr_joint_ntu60_xsub').model.data_preprocessor.views
    names = {view: [step.type for step in views[view].joints] for view in data.VIEWS}
    weak = ['RandomTemporalCrop', 'RandomShear']
    assert names == dict(
        query=weak, key=weak, non=['GaussianNoise', 'TimeInterpolate', 'BoneRescale'],
        act=[*weak, 'RandomFlip', 'RandomRotation', 'GaussianNoise', 'GaussianBlur', 'AxisMask'])
    built = {view: {type(t).__name__: t for t in build_transforms(list(views[view].joints))} for view in data.VIEWS}
    act, non = built['act'], built['non']
    assert act['RandomTemporalCrop'].pad_divisor == plain.PAD_DIVISOR
    assert act['RandomShear'].amplitude == plain.SHEAR
    assert (act['RandomRotation'].max_main, act['RandomRotation'].max_other) == (
        plain.MAX_MAIN_ANGLE, plain.MAX_OTHER_ANGLE)
    assert (act['GaussianNoise'].std, non['GaussianNoise'].std) == (plain.NOISE, plain.STRONG_NOISE)
    assert (act['GaussianBlur'].kernel_size, act['GaussianBlur'].sigma) == (plain.KERNEL, plain.SIGMA)
    assert (non['TimeInterpolate'].low, non['TimeInterpolate'].high) == plain.TEMPO
    assert (non['BoneRescale'].low, non['BoneRescale'].high) == plain.BONE_FACTOR
    assert {t.p for view in (act, non) for t in view.values() if hasattr(t, 'p')} == {plain.CHANCE}


def options(**changes):
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    shared = dict(config='actclr_joint_ntu60_xsub', cfg_options=None, device='cpu', repeats=7)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **shared, **changes})


def test_run_gives_finite_tables(monkeypatch):
    monkeypatch.setattr(data, 'GROWTH', (2, 3))
    monkeypatch.setattr(data, '_STRETCH', 2)
    tables = data.run(options(batch=2, repeats=2, sequences=40, frames=3))
    found = {table.title.split(' ')[0].rstrip(','): table.rows for table in tables}
    assert set(found) == {'Augmentation', 'Loading', 'Memory', 'Loaders'}
    numbers = [value for rows in found.values() for row in rows for value in row.values() if isinstance(value, float)]
    assert len(numbers) > 20 and all(math.isfinite(number) for number in numbers)
    assert [row['sequences'] for row in found['Loading']] == [4, 40]
    assert all(table.markdown().count('\n') >= 4 for table in tables)


@pytest.mark.parametrize('changes, message', [
    (dict(batch=0), '--batch is 0, expected 1 or more'),
    (dict(sequences=100), '--sequences is 100, expected 1280 or more'),
    (dict(config='knn_joint_ntu60_xsub'), 'config')])
def test_settings_that_cannot_be_measured_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        data.run(options(**changes))


def test_counted_bytes_are_what_a_dataset_holds(tmp_path):
    """The growth of traced memory from one archive to one of ten times its size."""
    held = {}
    for sequences in (400, 4000):
        folder = tmp_path / str(sequences)
        data.write_archive(folder, sequences, frames=2)
        data.open_dataset(folder, 2)
        tracemalloc.start()
        dataset = data.open_dataset(folder, 2)
        held[sequences] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    counted = data.bytes_per_sequence(dataset, prepared_sequences(dataset.archive, 2, 2).mask)
    grown = (held[4000] - held[400]) / 3600
    without_sampler = sum(counted.values()) - counted['order of an epoch']
    assert grown == pytest.approx(without_sampler, rel=0.05)
    assert sum(counted.values()) * data.MILLION < 2 ** 30


def test_one_by_one_gives_the_samples_of_the_dataset(tmp_path):
    data.write_archive(tmp_path / 'a', 12, frames=4)
    dataset = data.open_dataset(tmp_path / 'a', 6)
    plainly = data.OneByOne(dataset, prepared_sequences(dataset.archive, 6, 2))
    together = dataset.__getitems__(range(12))
    assert len(plainly) == 12 and 0 < together['mask'][:, 1].sum() < 12
    for key, values in torch.utils.data.default_collate([plainly[i] for i in range(12)]).items():
        assert torch.equal(values, together[key]), key
