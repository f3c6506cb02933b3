"""What spoils some joints, and one of several transforms for each sample."""
import numpy as np
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.transforms import JointCorruption, OneOf, SampleRandom, build_transforms
from mmactclr.utils import load_config


@pytest.mark.parametrize('layout, count', [('ntu25', 15), ('kinect20_utdmhad', 12)])
def test_spoiled_joints_are_at_the_origin_or_warped_alike(make_batch, layout, count):
    """Each sample by itself: as many joints, in all frames and persons, one map from what they were."""
    batch = make_batch(layout, n=64)
    x, out = batch['keypoint'], JointCorruption()(batch)['keypoint']
    kinds = []
    for i in range(64):
        changed = (out[i] != x[i]).any(-1).any(1).any(0)
        assert changed.sum() == count
        before, after = (y[i, 0][:, changed].reshape(-1, 3).double().numpy() for y in (x, out))
        matrix, residual, _, _ = np.linalg.lstsq(before, after, rcond=None)
        assert residual.max() < 1e-8 and abs(matrix).max() <= 1 + 1e-5
        if batch['mask'][i, 1]:
            np.testing.assert_allclose(out[i, 1][:, changed], x[i, 1][:, changed] @ matrix, rtol=1e-4, atol=1e-4)
        kinds.append('zeroed' if (after == 0).all() else 'warped')
    # 32 expected; four standard deviations of a binomial are 16
    assert 16 < kinds.count('zeroed') < 48


def test_entries_of_the_warp_fill_their_range_and_every_joint_is_spoiled(make_batch):
    batch = make_batch(n=400, t=4, absent=False)
    x, out = batch['keypoint'], JointCorruption(zeroed=0.)(batch)['keypoint']
    changed = (out != x).any(-1).any(2).any(1)
    entries = []
    for i in range(400):
        before, after = (y[i][:, :, changed[i]].reshape(-1, 3).double().numpy() for y in (x, out))
        entries.append(np.linalg.lstsq(before, after, rcond=None)[0])
    entries = np.stack(entries)
    # of U(-1, 1): mean 0, variance 1/3
    assert entries.min() < -.98 and entries.max() > .98
    assert abs(entries.mean(0)).max() < .12 and abs(entries.var(0) - 1 / 3).max() < .06
    # 0.6 expected; four standard deviations of a binomial are 0.1
    assert ((changed.float().mean(0) - .6).abs() < .1).all()


@pytest.mark.parametrize('share, count', [(0., 0), (.2, 5), (1., 25)])
def test_the_share_says_how_many(make_batch, share, count):
    batch = make_batch(absent=False)
    out = JointCorruption(share, zeroed=1.)(batch)['keypoint']
    assert ((out == 0).all(-1).all(2).all(1).sum(1) == count).all()


def test_a_sample_gets_one_of_the_transforms(make_batch):
    batch, names = make_batch(n=300, t=4), ('RandomFlip', 'TemporalFlip', 'AxisMask')
    steps = [dict(type=name, p=1.) for name in names]
    out = OneOf(steps)(batch)['keypoint']
    flipped, reversed_, _ = (build_transforms([step])[0](
        {**batch, 'random': SampleRandom(0, 0, range(300), 'query')})['keypoint'] for step in steps)
    counts = dict.fromkeys(names, 0)
    for i in range(300):
        masked = (out[i] == 0).all(0).all(0).all(0).any()
        found = [torch.equal(out[i], flipped[i]), torch.equal(out[i], reversed_[i]), bool(masked)]
        assert sum(found) == 1
        counts[names[found.index(True)]] += 1
    # 100 expected of each; four standard deviations of a binomial are 33
    assert all(67 < count < 133 for count in counts.values()), counts


def test_a_choice_of_what_leaves_something_behind_is_refused(make_batch):
    with pytest.raises(ConfigError, match='SkeletonMix leaves mix_mask behind'):
        OneOf([dict(type='RandomShear'), dict(type='SkeletonMix')])(make_batch())
    with pytest.raises(ConfigError, match='transforms is empty'):
        OneOf([])


@pytest.mark.parametrize('name', ['share', 'zeroed'])
def test_arguments_out_of_range_are_named(name):
    with pytest.raises(ConfigError, match=f'{name} is 1.5'):
        JointCorruption(**{name: 1.5})


@pytest.mark.parametrize('name', ['query', 'key'])
def test_the_views_of_cmd_are_those_of_the_description(name):
    """Crop of a share U(0.1, 1), then shear with entries U(-1, 1) or 15 of 25 joints spoiled."""
    view = load_config('cmd-views_3s_ntu60_xsub').model.data_preprocessor.views[name]
    assert view == dict(joints=[
        dict(type='RandomWindow', low=0.1, high=1.0),
        dict(type='OneOf', transforms=[dict(type='RandomShear', amplitude=1.0),
                                       dict(type='JointCorruption', share=15 / 25, zeroed=0.5)])])
