"""Joint, motion and bone stream."""
import numpy as np
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.structures.layouts import get_layout, list_layouts
from mmactclr.transforms import STREAMS, ToStream, from_bone, to_bone, to_motion, to_stream

every_layout = pytest.mark.parametrize('layout', sorted(list_layouts()))


@every_layout
def test_bones_integrate_back_to_joints(layout):
    layout = get_layout(layout)
    x = torch.randn(3, 2, 5, layout.num_joints, 3, dtype=torch.float64)
    root = x[..., layout.centre, :]
    torch.testing.assert_close(from_bone(to_bone(x, layout), layout, root), x)
    centred = x - root[..., None, :]
    torch.testing.assert_close(from_bone(to_bone(x, layout), layout), centred)


@every_layout
def test_a_bone_is_child_minus_parent(layout):
    layout = get_layout(layout)
    x = torch.randn(2, layout.num_joints, 3)
    bone = to_bone(x, layout)
    assert (bone[:, layout.centre] == 0).all()
    for child, parent in layout.bones:
        assert torch.equal(bone[:, child], x[:, child] - x[:, parent])


def test_motion_is_the_step_to_the_next_frame():
    x = torch.randn(2, 2, 9, 25, 3)
    motion = to_motion(x)
    np.testing.assert_array_equal(motion[:, :, :-1], np.diff(x.numpy(), axis=2))
    assert (motion[:, :, -1] == 0).all()
    # the steps add up to the way
    torch.testing.assert_close(motion.sum(2), x[:, :, -1] - x[:, :, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('stream', STREAMS)
def test_transform_notes_the_stream(stream, make_batch):
    batch = make_batch()
    out = ToStream(stream)(batch)
    assert out['stream'] == stream
    assert torch.equal(out['keypoint'], to_stream(batch['keypoint'], stream, batch['layout']))


def test_streams_differ(make_batch):
    batch = make_batch()
    x = [ToStream(stream)(batch)['keypoint'] for stream in STREAMS]
    assert torch.equal(x[0], batch['keypoint'])
    assert not torch.equal(x[0], x[1]) and not torch.equal(x[0], x[2])


def test_unknown_streams_are_named(make_batch):
    with pytest.raises(ConfigError, match="stream is 'flow', expected one of joint, motion, bone"):
        ToStream('flow')
    with pytest.raises(ConfigError, match="stream is 'flow'"):
        to_stream(torch.zeros(1, 1, 2, 25, 3), 'flow', get_layout('ntu25'))


def test_streams_are_derived_once(make_batch):
    with pytest.raises(ConfigError, match="found the 'motion' stream"):
        ToStream('bone')(ToStream('motion')(make_batch()))
