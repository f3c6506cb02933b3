"""Joints first or stream first: where the order must not matter it does not, and where it matters that is shown."""
import pytest
import torch

from mmactclr.structures import get_layout
from mmactclr.transforms import (
    AxisMask,
    GaussianBlur,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTemporalCrop,
    SampleRandom,
    SkeletonAdaIN,
    TemporalFlip,
    random_partner,
    to_bone,
    to_stream,
)

N, T = 8, 30
LINEAR = [RandomShear(), RandomRotation(), RandomFlip(p=.5), AxisMask(p=.5)]


def batch(layout, keypoint, stream='joint'):
    mask = torch.ones(N, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    return dict(keypoint=keypoint * mask[:, :, None, None, None], mask=mask, layout=layout, stream=stream,
                partner=random_partner(N, torch.Generator().manual_seed(0)),
                random=SampleRandom(0, 0, range(N), 'query'))


def both_orders(transform, stream, layout='ntu25'):
    """The stream of transformed joints, and the transformed stream of the same joints, by the same draws."""
    layout = get_layout(layout)
    x = torch.randn(N, 2, T, layout.num_joints, 3, generator=torch.Generator().manual_seed(2)).cumsum(2) * .1
    joints = batch(layout, x)
    first = to_stream(transform(joints)['keypoint'], stream, layout)
    second = transform(batch(layout, to_stream(joints['keypoint'], stream, layout), stream))['keypoint']
    return first, second


@pytest.mark.parametrize('layout', ['ntu25', 'kinect20_utdmhad', 'kinect20_nwucla', 'uiprmd22', 'h36m17'])
@pytest.mark.parametrize('stream', ['motion', 'bone'])
@pytest.mark.parametrize('transform', LINEAR, ids=lambda t: type(t).__name__)
def test_maps_of_space_commute_with_streams(transform, stream, layout):
    torch.testing.assert_close(*both_orders(transform, stream, layout), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('transform', [RandomTemporalCrop(), TemporalFlip(p=.5), GaussianBlur(p=.5)],
                         ids=lambda t: type(t).__name__)
def test_maps_of_time_commute_with_bones(transform):
    torch.testing.assert_close(*both_orders(transform, 'bone'), atol=1e-5, rtol=1e-4)


def test_a_crop_of_motion_is_another_one_at_the_mirrored_ends():
    """Where time is mirrored, the motion of cropped joints changes its sign and cropped motion does not."""
    first, second = both_orders(RandomTemporalCrop(), 'motion')
    middle = slice(T // 6 + 1, -(T // 6) - 1)
    torch.testing.assert_close(first[:, :, middle], second[:, :, middle], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(first, second, atol=1e-3)


def test_style_is_taken_after_the_stream_was_made():
    """AdaIN has a formula for each stream, none of which follows from another."""
    first, second = both_orders(SkeletonAdaIN(), 'motion')
    assert not torch.allclose(first, second, atol=1e-2)
    # lengths of bones are the one thing that both orders share
    first, second = both_orders(SkeletonAdaIN(), 'bone')
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-3)


def lengths(x, layout):
    return to_bone(x, layout).norm(dim=-1)


def test_rotation_keeps_every_bone_and_flip_exchanges_them():
    layout = get_layout('ntu25')
    x = torch.randn(N, 2, T, 25, 3, generator=torch.Generator().manual_seed(3))
    before = batch(layout, x)
    torch.testing.assert_close(lengths(RandomRotation()(before)['keypoint'], layout),
                               lengths(before['keypoint'], layout), atol=1e-5, rtol=1e-4)
    flipped = lengths(RandomFlip(p=1.)(before)['keypoint'], layout)
    torch.testing.assert_close(flipped, lengths(before['keypoint'], layout)[..., list(layout.flip_index)])


@pytest.mark.parametrize('stream', ['joint', 'bone'])
def test_style_takes_lengths_and_keeps_directions(stream):
    layout = get_layout('ntu25')
    x = torch.randn(N, 2, T, 25, 3, generator=torch.Generator().manual_seed(3))
    given = batch(layout, to_stream(x, stream, layout), stream)
    given['mask'][:] = True
    given['keypoint'] = to_stream(x, stream, layout)
    out = SkeletonAdaIN()(given)['keypoint']
    own, other, new = (y if stream == 'bone' else to_bone(y, layout)
                       for y in (given['keypoint'], given['keypoint'][given['partner']], out))
    moving = [child for child, _ in layout.bones]
    own, other, new = (y[..., moving, :] for y in (own, other, new))
    torch.testing.assert_close(new.norm(dim=-1), other.norm(dim=-1), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(torch.cosine_similarity(new, own, dim=-1), torch.ones(new.shape[:-1]), atol=1e-4, rtol=0)
