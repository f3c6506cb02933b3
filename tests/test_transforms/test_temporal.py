"""Transforms of time against numpy, scipy and torch's own resizing."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from mmactclr.errors import ConfigError
from mmactclr.transforms import (
    GaussianBlur,
    RandomTemporalCrop,
    RandomWindow,
    TemporalFlip,
    TimeInterpolate,
)
from mmactclr.transforms.temporal import gaussian_kernel, mirror, sample_frames, take_frames


@given(st.integers(1, 30), st.integers(0, 100))
def test_mirror_is_symmetric_padding(t, pad):
    frames = torch.arange(-pad, t + pad)
    np.testing.assert_array_equal(mirror(frames, t), np.pad(np.arange(t), pad, mode='symmetric'))


def test_frames_are_taken_per_sample():
    x = torch.randn(3, 2, 7, 4, 3)
    frames = torch.tensor([[0, 0, 6], [5, 1, 2], [3, 3, 3]])
    out = take_frames(x, frames)
    for n in range(3):
        assert torch.equal(out[n], x[n][:, frames[n]])


def test_fractional_positions_are_linear_and_clamped():
    x = torch.arange(5.).view(1, 1, 5, 1, 1).repeat(2, 1, 1, 1, 1)
    position = torch.tensor([-3., 0., 0.25, 2.5, 4., 9.]).repeat(2, 1)
    out = sample_frames(x, position, torch.tensor([5, 3])).flatten(1)
    torch.testing.assert_close(out[0], torch.tensor([0., 0., 0.25, 2.5, 4., 4.]))
    torch.testing.assert_close(out[1], torch.tensor([0., 0., 0.25, 2., 2., 2.]))


@pytest.mark.parametrize('t, pad', [(50, 8), (20, 3), (5, 0)])
def test_crop_is_a_window_of_the_mirror_padded_sequence(t, pad, make_batch):
    batch = make_batch(n=200, t=t)
    out = RandomTemporalCrop()(batch)['keypoint']
    padded = np.pad(batch['keypoint'].numpy(), ((0, 0), (0, 0), (pad, pad), (0, 0), (0, 0)),
                    mode='symmetric')
    starts = set()
    for n in range(200):
        found = [s for s in range(2 * pad + 1)
                 if np.array_equal(padded[n, :, s:s + t], out[n].numpy())]
        assert found
        starts.update(found)
    assert starts == set(range(2 * pad + 1))


def test_window_reads_a_share_of_the_sequence(make_batch):
    batch = make_batch(n=300, absent=False)
    ramp = torch.arange(50.).view(1, 1, 50, 1, 1)
    batch['keypoint'] = ramp.expand_as(batch['keypoint']).clone()
    out = RandomWindow(low=0.4, high=1.)(batch)['keypoint'][:, 0, :, 0, 0]
    steps = out.diff(dim=1)[:, 3:-3]  # clamped at the ends
    assert (steps - steps[:, :1]).abs().max() < 1e-4
    share = steps[:, 0]
    assert 0.4 - 1e-4 <= share.min() < 0.45 and 0.95 < share.max() <= 1 + 1e-4
    assert share.mean().item() == pytest.approx(0.7, abs=0.03)
    assert out.min() >= 0 and out.max() <= 49
    # short windows start anywhere
    short = out[share < 0.6][:, 0]
    assert short.min() < 5 and short.max() > 20


def test_the_whole_window_is_the_identity(make_batch):
    batch = make_batch()
    out = RandomWindow(low=1., high=1.)(batch)['keypoint']
    torch.testing.assert_close(out, batch['keypoint'], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('sigma', [0.1, 0.7, 2.])
@pytest.mark.parametrize('t', [50, 5])
def test_blur_agrees_with_scipy(sigma, t, make_batch):
    batch = make_batch(t=t)
    out = GaussianBlur(sigma=(sigma, sigma), p=1.)(batch)['keypoint']
    expected = gaussian_filter1d(batch['keypoint'].numpy(), sigma, axis=2, mode='reflect', radius=7)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_blur_kernels_sum_to_one_or_show_the_gain_of_the_release():
    sigma = torch.linspace(0.1, 2, 20)
    torch.testing.assert_close(gaussian_kernel(sigma, 15).sum(1), torch.ones(20))
    gain = gaussian_kernel(sigma, 15, normalise=False).sum(1)
    assert gain[0] == 1 and gain[-1].item() == pytest.approx(5, abs=0.1)


def test_blur_response_to_an_impulse(make_batch):
    batch = make_batch(absent=False)
    batch['keypoint'] = torch.zeros_like(batch['keypoint'])
    batch['keypoint'][:, :, 25] = 1
    out = GaussianBlur(sigma=(1.5, 1.5), p=1., normalise=False)(batch)['keypoint'][0, 0, :, 0, 0]
    expected = np.exp(-(np.arange(50) - 25)**2 / (2 * 1.5**2)) * (abs(np.arange(50) - 25) <= 7)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_temporal_flip_is_its_own_inverse(make_batch):
    batch = make_batch()
    flip = TemporalFlip(p=1.)
    once = flip(batch)
    np.testing.assert_array_equal(once['keypoint'], batch['keypoint'].numpy()[:, :, ::-1])
    assert torch.equal(flip(once)['keypoint'], batch['keypoint'])


@pytest.mark.parametrize('factor, length', [(0.5, 25), (0.75, 37), (1., 50), (1.5, 75)])
def test_tempo_is_resampled_and_cut_or_padded(factor, length, make_batch):
    batch = make_batch()
    out = TimeInterpolate(low=factor, high=factor, p=1.)(batch)['keypoint']
    flat = batch['keypoint'].permute(0, 1, 3, 4, 2).flatten(1, 3)
    expected = F.interpolate(flat, size=length, mode='linear', align_corners=False)
    expected = F.pad(expected, (0, max(0, 50 - length)))[..., :50]
    torch.testing.assert_close(out.permute(0, 1, 3, 4, 2).flatten(1, 3), expected,
                               rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('build', [
    lambda: RandomTemporalCrop(0), lambda: RandomWindow(0.), lambda: RandomWindow(0.5, 1.1),
    lambda: GaussianBlur(kernel_size=14), lambda: GaussianBlur(sigma=(0., 1.)),
    lambda: TimeInterpolate(1.5, 0.5)])
def test_arguments_out_of_range_are_named(build):
    with pytest.raises(ConfigError, match='expected'):
        build()
