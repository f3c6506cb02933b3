"""What augmentation does to the bodies of real recordings."""
import numpy as np
import pytest
import torch

from mmactclr.structures.layouts import get_layout
from mmactclr.transforms import (
    BoneRescale,
    GaussianBlur,
    RandomFlip,
    RandomRotation,
    SampleRandom,
    SkeletonAdaIN,
    prepare,
    to_bone,
    to_motion,
)

LAYOUT = get_layout('kinect20_utdmhad')
CHILDREN = [child for child, _ in LAYOUT.bones]


@pytest.fixture(scope='module')
def prepared(real_data_dir):
    """Every twentieth sequence of UTD-MHAD, prepared for a model, with its mask."""
    source = real_data_dir / 'utd_mhad.npz'
    if not source.is_file():
        pytest.skip(f'no real data: {source} does not exist')
    with np.load(source, allow_pickle=False) as data:
        keypoint, offsets = data['keypoint'], data['offsets']
    return prepare([keypoint[offsets[i]:offsets[i + 1]].swapaxes(0, 1) for i in range(0, len(offsets) - 1, 20)], LAYOUT)


def joints_before_and_after(transform, prepared):
    """First persons, (N, T, V, C) each."""
    keypoint, mask = prepared
    n = len(keypoint)
    batch = dict(keypoint=keypoint, mask=mask, layout=LAYOUT, partner=torch.arange(n).roll(1),
                 random=SampleRandom(0, 0, range(n), 'act'))
    return keypoint[:, 0], transform(batch)['keypoint'][:, 0]


def lengths(x):
    """Lengths of the bones, (N, T, bones) metres."""
    return to_bone(x, LAYOUT).norm(dim=-1)[..., CHILDREN]


def test_rotation_keeps_the_bones(prepared):
    before, after = joints_before_and_after(RandomRotation(), prepared)
    torch.testing.assert_close(lengths(after), lengths(before), rtol=1e-5, atol=1e-5)
    assert (after - before).abs().max() > .1


def test_flip_keeps_the_bones_up_to_the_side(prepared):
    before, after = joints_before_and_after(RandomFlip(p=1.), prepared)
    torch.testing.assert_close(lengths(after).sort(-1).values, lengths(before).sort(-1).values)
    assert not torch.equal(lengths(after), lengths(before))


def test_adain_takes_the_partners_bones_and_keeps_the_posture(prepared):
    before, after = joints_before_and_after(SkeletonAdaIN(), prepared)
    torch.testing.assert_close(lengths(after), lengths(before).roll(1, 0), rtol=1e-4, atol=1e-5)
    cosine = torch.cosine_similarity(to_bone(before, LAYOUT), to_bone(after, LAYOUT), dim=-1)[..., CHILDREN]
    # short bones far from the origin have their direction from few digits
    assert cosine.min() > .999


def test_rescaled_bodies_keep_their_proportions_over_time(prepared):
    before, after = joints_before_and_after(BoneRescale(), prepared)
    factor = lengths(after) / lengths(before)
    assert factor.max() < .5 + 1e-4
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-2, atol=1e-3)


def test_blur_shortens_the_path_of_every_joint(prepared):
    before, after = (to_motion(x).norm(dim=-1).sum(1) for x in joints_before_and_after(GaussianBlur(p=1.), prepared))
    # what a copy of the path shifted one way repeats at its mirrored end, the copy shifted the other way leaves out
    assert (after <= before + 1e-4).all()
    assert after.sum() < .95 * before.sum()
