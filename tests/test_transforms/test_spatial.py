"""Transforms of space against explicit float64 matrices, distances and statistics."""
import numpy as np
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.transforms import (
    AxisMask,
    BoneJitter,
    BoneRescale,
    GaussianNoise,
    PostureJitter,
    RandomFlip,
    RandomRotation,
    RandomShear,
    to_bone,
)


def recover_matrices(before, after, centre):
    """The (C, C) float64 matrix that maps row vectors of each sample, by least squares."""
    matrices = []
    for x, y in zip(before.double().numpy(), after.double().numpy(), strict=True):
        x, y = (a - a[..., centre:centre + 1, :] for a in (x, y))
        x, y = (a.reshape(-1, a.shape[-1]) for a in (x, y))
        matrix, *_ = np.linalg.lstsq(x, y, rcond=None)
        np.testing.assert_allclose(x @ matrix, y, atol=1e-4)  # one linear map for the sample
        matrices.append(matrix)
    return np.stack(matrices)


@pytest.mark.parametrize('transform', [RandomShear(), RandomRotation()])
def test_linear_maps_leave_the_centre_joint(transform, make_batch):
    batch = make_batch()
    centre = batch['layout'].centre
    out = transform(batch)['keypoint']
    assert torch.equal(out[..., centre, :], batch['keypoint'][..., centre, :])
    assert not torch.equal(out, batch['keypoint'])


@pytest.mark.parametrize('layout, channels', [('ntu25', 3), ('coco17', 2)])
@pytest.mark.parametrize('amplitude', [0.5, 0.1])
def test_shear_is_ones_and_small_entries(layout, channels, amplitude, make_batch):
    batch = make_batch(layout, n=64, t=4, channels=channels)
    matrix = recover_matrices(batch['keypoint'], RandomShear(amplitude)(batch)['keypoint'],
                              batch['layout'].centre)
    np.testing.assert_allclose(np.diagonal(matrix, axis1=1, axis2=2), 1, atol=1e-4)
    entries = matrix[:, ~np.eye(channels, dtype=bool)]
    assert np.abs(entries).max() < amplitude + 1e-4
    assert entries.std() == pytest.approx(2 * amplitude / 12**0.5, rel=0.15)
    # entries are independent of each other and of other samples
    assert len(np.unique(entries.round(6))) > 0.98 * entries.size


def test_rotation_keeps_distances(make_batch):
    batch = make_batch(dtype=torch.float64)
    out = RandomRotation()(batch)['keypoint']
    # the matrix is drawn in float32
    torch.testing.assert_close(torch.cdist(out, out), torch.cdist(batch['keypoint'], batch['keypoint']),
                               rtol=1e-6, atol=1e-6)


def test_rotation_limits_are_arguments(make_batch):
    batch = make_batch(n=50, t=2)
    still = RandomRotation(max_main=0., max_other=0.)(batch)['keypoint']
    torch.testing.assert_close(still, batch['keypoint'])


def test_flat_data_turn_in_their_plane(make_batch):
    batch = make_batch('coco17', n=50, t=2, channels=2)
    matrix = recover_matrices(batch['keypoint'], RandomRotation()(batch)['keypoint'],
                              batch['layout'].centre)
    np.testing.assert_allclose(matrix @ matrix.transpose(0, 2, 1), np.eye(2)[None].repeat(50, 0),
                               atol=1e-4)


def test_flip_exchanges_left_and_right_and_does_not_mirror(make_batch):
    batch = make_batch()
    flip = RandomFlip(p=1.)
    once = flip(batch)
    x, y = batch['keypoint'], once['keypoint']
    # anatomical pairs of the NTU skeleton, written out
    for left, right in [(4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19),
                        (21, 23), (22, 24)]:
        assert torch.equal(y[..., left, :], x[..., right, :])
        assert torch.equal(y[..., right, :], x[..., left, :])
    for joint in (0, 1, 2, 3, 20):
        assert torch.equal(y[..., joint, :], x[..., joint, :])
    assert torch.equal(flip(once)['keypoint'], x)


@pytest.mark.parametrize('std', [0.01, 0.05])
def test_noise_is_white_normal_of_the_given_std(std, make_batch):
    batch = make_batch(n=20, absent=False)
    noise = (GaussianNoise(std, p=1.)(batch)['keypoint'] - batch['keypoint']).double()
    assert noise.mean().item() == pytest.approx(0, abs=std / 50)
    assert noise.std().item() == pytest.approx(std, rel=0.02)
    assert (noise / std).pow(4).mean().item() == pytest.approx(3, abs=0.15)
    for a, b in [(noise[:, 0], noise[:, 1]), (noise[:, :, 1:], noise[:, :, :-1]),
                 (noise[1:], noise[:-1]), (noise[..., 0], noise[..., 1])]:
        assert abs(np.corrcoef(a.flatten(), b.flatten())[0, 1]) < 0.02


@pytest.mark.parametrize('layout, channels', [('ntu25', 3), ('coco17', 2)])
def test_axis_mask_zeroes_one_axis(layout, channels, make_batch):
    batch = make_batch(layout, n=120, t=2, channels=channels)
    out = AxisMask(p=1.)(batch)['keypoint']
    zero = (out == 0).flatten(1, 3).all(1)
    assert (zero.sum(1) == 1).all()
    assert zero.sum(0).min() > 20
    kept = torch.where(zero[:, None, None, None], 0., batch['keypoint'])
    assert torch.equal(out, kept)


@pytest.mark.parametrize('transform, low, high', [(BoneRescale(), 0., 0.5),
                                                  (BoneJitter(), 0.75, 1.25),
                                                  (BoneJitter(scale=0.1), 0.9, 1.1)])
def test_bones_are_scaled_by_constant_factors(transform, low, high, make_batch):
    batch = make_batch(n=20, t=6, absent=False, dtype=torch.float64)
    layout = batch['layout']
    out = transform(batch)['keypoint']
    before, after = to_bone(batch['keypoint'], layout), to_bone(out, layout)
    bones = [j for j in range(layout.num_joints) if j != layout.centre]
    factor = (after * before).sum(-1) / before.square().sum(-1)
    torch.testing.assert_close(after, before * factor.nan_to_num()[..., None])  # same directions
    factor = factor[..., bones]
    torch.testing.assert_close(factor, factor[:, :1, :1].expand_as(factor))  # frames and persons
    assert factor.min() >= low - 1e-6 and factor.max() <= high + 1e-6
    assert factor[:, 0, 0].mean().item() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
    assert len(factor[:, 0, 0].flatten().unique()) > 0.95 * 20 * len(bones)
    assert torch.equal(out[..., layout.centre, :], batch['keypoint'][..., layout.centre, :])


def test_posture_jitter_keeps_lengths_and_leans_bones(make_batch):
    batch = make_batch(n=20, t=6, absent=False, dtype=torch.float64)
    layout = batch['layout']
    before = to_bone(batch['keypoint'], layout)
    angles = []
    for scale in (0., 0.1, 0.3):
        after = to_bone(PostureJitter(scale)(make_batch(n=20, t=6, absent=False,
                                                        dtype=torch.float64))['keypoint'], layout)
        torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))
        bones = [j for j in range(layout.num_joints) if j != layout.centre]
        cosine = torch.cosine_similarity(after, before, dim=-1)[..., bones]
        angles.append(cosine.clamp(-1, 1).arccos().mean().item())
    assert angles[0] < 1e-6
    # of the normal offset, the part across the bone leans it: scale·sqrt(pi/2) on average
    assert angles[1] == pytest.approx(0.1 * (np.pi / 2)**0.5, rel=0.15)
    assert angles[1] < angles[2]


def test_posture_jitter_leaves_unseen_frames_empty(make_batch):
    batch = make_batch()
    batch['keypoint'][:, :, 10:20] = 0
    assert (PostureJitter()(batch)['keypoint'][:, :, 10:20] == 0).all()


def test_negative_bone_factors_are_refused():
    with pytest.raises(ConfigError, match='BoneJitter: bone factors range from -0.5 to 2.5'):
        BoneJitter(scale=1.5)
