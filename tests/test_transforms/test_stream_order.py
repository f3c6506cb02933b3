"""Augmenting joints and then deriving a stream, against deriving the stream first.

Views are augmented as joints. Where both orders agree, a stream could be augmented by itself; where they do not, the
tests say what the other order would do to it.
"""
import numpy as np
import pytest
import torch

from mmactclr.structures.layouts import get_layout, list_layouts
from mmactclr.transforms import (
    AxisMask,
    GaussianBlur,
    GaussianNoise,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTemporalCrop,
    SampleRandom,
    SkeletonAdaIN,
    SkeletonMix,
    TemporalFlip,
    TimeInterpolate,
    ToStream,
    to_motion,
)

LAYOUTS = sorted(list_layouts())
OF_SPACE = [RandomShear(), RandomRotation(), RandomFlip(), AxisMask()]
OF_TIME = [RandomTemporalCrop(), TemporalFlip(), GaussianBlur(), TimeInterpolate()]
MIXUP = SkeletonMix(cutmix=0., resizemix=0., mixup=1.)
CUTMIX = SkeletonMix(cutmix=1., resizemix=0., mixup=0.)
N, T = 40, 50


def name(value):
    return type(value).__name__ if not isinstance(value, str) else value


def both_orders(transform, stream, make_batch, layout='ntu25', **options):
    """Joint-first and stream-first result, (N, M, T, V, C) each, under the same draws."""
    results = []
    for steps in ((transform, ToStream(stream)), (ToStream(stream), transform)):
        batch = make_batch(layout, n=N, dtype=torch.float64, **options)
        for step in steps:
            batch = step(batch)
        results.append(batch['keypoint'])
    return results


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('stream', ['motion', 'bone'])
@pytest.mark.parametrize('transform', OF_SPACE, ids=name)
def test_transforms_of_space_commute_with_every_stream(transform, stream, layout, make_batch):
    joint_first, stream_first = both_orders(transform, stream, make_batch, layout)
    torch.testing.assert_close(joint_first, stream_first)


@pytest.mark.parametrize('transform', OF_TIME, ids=name)
def test_transforms_of_time_commute_with_bones(transform, make_batch):
    joint_first, stream_first = both_orders(transform, 'bone', make_batch)
    torch.testing.assert_close(joint_first, stream_first)


@pytest.mark.parametrize('stream', ['motion', 'bone'])
def test_mixup_commutes_with_every_stream(stream, make_batch):
    joint_first, stream_first = both_orders(MIXUP, stream, make_batch)
    torch.testing.assert_close(joint_first, stream_first)


def test_lengths_of_the_partner_commute_with_bones(make_batch):
    joint_first, stream_first = both_orders(SkeletonAdaIN(), 'bone', make_batch)
    torch.testing.assert_close(joint_first, stream_first)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_flip_exchanges_the_lengths_of_left_and_right_bones(layout, make_batch):
    batch = ToStream('bone')(make_batch(layout))
    flipped = ToStream('bone')(RandomFlip(p=1.)(make_batch(layout)))
    before, after = (each['keypoint'].norm(dim=-1) for each in (batch, flipped))
    torch.testing.assert_close(after, before[..., list(get_layout(layout).flip_index)])


def crop_shifts():
    """Shift of every sample's window, read from a ramp under the draws of ``make_batch``, (N,)."""
    layout = get_layout('ntu25')
    ramp = torch.arange(float(T)).view(1, 1, T, 1, 1).expand(N, 1, T, layout.num_joints, 3)
    batch = dict(keypoint=ramp, mask=torch.ones(N, 1, dtype=torch.bool), layout=layout,
                 random=SampleRandom(0, 0, range(N), 'query'))
    middle = RandomTemporalCrop()(batch)['keypoint'][:, 0, T // 2, 0, 0]
    return (middle - T // 2).int().tolist()


def test_crop_and_motion_disagree_at_the_mirrored_border_only(make_batch):
    joint_first, stream_first = both_orders(RandomTemporalCrop(), 'motion', make_batch, absent=False)
    differs = (joint_first - stream_first).abs().amax((1, 3, 4)) > 1e-6
    shifts = crop_shifts()
    assert min(shifts) < 0 < max(shifts) and 0 in shifts
    frames = np.arange(T)
    for shift, found in zip(shifts, differs.numpy(), strict=True):
        # beyond the fold at either end, and in the last frame, whose motion is zero only joint-first
        beyond = (frames + shift >= T) | (frames + shift < 0)
        np.testing.assert_array_equal(found, beyond | (frames == T - 1) & (shift != 0))


def test_joint_first_the_motion_of_a_mirrored_border_runs_backwards(make_batch):
    joint_first, stream_first = both_orders(RandomTemporalCrop(), 'motion', make_batch, absent=False)
    joints = make_batch(n=N, absent=False, dtype=torch.float64)['keypoint']
    step = to_motion(joints)
    for i, shift in enumerate(crop_shifts()):
        if shift >= 0:
            continue
        there_and_back = step[i, :, :-shift].flip(1)
        # the edge frame stands twice: one step is zero, those before it are the sequence's own, reversed
        assert (joint_first[i, :, -shift - 1] == 0).all()
        torch.testing.assert_close(joint_first[i, :, :-shift - 1], -there_and_back[:, 1:])
        # the other order would show the same steps as if they went forwards
        torch.testing.assert_close(stream_first[i, :, :-shift], there_and_back)


def test_joint_first_the_motion_of_a_reversed_sequence_changes_sign(make_batch):
    joint_first, stream_first = both_orders(TemporalFlip(p=1.), 'motion', make_batch)
    # stream-first, the zero of the last frame comes first and no step turns round
    assert (stream_first[:, :, 0] == 0).all() and (joint_first[:, :, -1] == 0).all()
    torch.testing.assert_close(joint_first[:, :, :-1], -stream_first[:, :, 1:])


def test_joint_first_noise_of_motion_is_the_difference_of_two_noises(make_batch):
    std = .01
    joint_first, stream_first = both_orders(GaussianNoise(std, p=1.), 'motion', make_batch, absent=False)
    step = to_motion(make_batch(n=N, absent=False, dtype=torch.float64)['keypoint'])
    first, second = ((x - step)[:, :, :-1].numpy() for x in (joint_first, stream_first))
    assert first.std() == pytest.approx(2**.5 * std, rel=.01)
    assert second.std() == pytest.approx(std, rel=.01)
    # neighbouring steps share a frame, whose noise enters them with opposite signs
    for noise, expected in ((first, -.5), (second, 0)):
        between = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
        assert between == pytest.approx(expected, abs=.01)


def test_joint_first_cutmix_leaves_bones_from_one_body_to_the_other(make_batch):
    joint_first, stream_first = both_orders(CUTMIX, 'bone', make_batch, absent=False)
    batch = ToStream('bone')(make_batch(n=N, absent=False, dtype=torch.float64))
    own = batch['keypoint']
    others = own[batch['partner']]

    def foreign(x):
        """Where a bone is neither one's own nor the partner's, (N, V)."""
        nearest = torch.minimum((x - own).abs().amax(-1), (x - others).abs().amax(-1))
        return (nearest > 1e-6).flatten(1, 2).any(1)

    layout = get_layout('ntu25')
    parts = layout.part_of
    crossing = torch.tensor([parts[j] != parts[layout.parents[j]] for j in range(layout.num_joints)])
    assert not foreign(stream_first).any()
    assert torch.equal(foreign(joint_first).any(0), crossing)
