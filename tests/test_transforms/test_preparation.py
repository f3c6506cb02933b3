"""Preparation against the authors' release and against a plain reading of the formulas."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures.layouts import get_layout, list_layouts
from mmactclr.transforms import AlignShoulders, Centre, ResizeFrames, default_preparation, prepare
from mmactclr.transforms import preparation as module


@pytest.fixture(scope='module')
def golden(golden_dir):
    with np.load(golden_dir / 'preprocess.npz', allow_pickle=False) as data:
        raw = [data[f'raw_{i}'] for i in range(8)]
        return raw, torch.from_numpy(data['expected']).permute(0, 4, 2, 3, 1)


def test_reproduces_the_release(golden):
    raw, expected = golden
    keypoint, mask = prepare(raw, 'ntu25')
    torch.testing.assert_close(keypoint, expected, rtol=0, atol=1e-4)
    assert torch.equal(mask, expected.flatten(2).any(-1))


def test_one_by_one_gives_the_same(golden):
    raw, _ = golden
    batched, mask = prepare(raw, 'ntu25')
    for i, sequence in enumerate(raw):
        alone, there = prepare([sequence], 'ntu25')
        torch.testing.assert_close(alone[0], batched[i], rtol=0, atol=1e-5)
        assert torch.equal(there[0], mask[i])


def test_chunking_changes_nothing(golden, monkeypatch):
    raw, _ = golden
    whole = prepare(raw, 'ntu25')
    monkeypatch.setattr(module, '_CHUNK_FRAMES', 150)
    assert len(list(module._chunks([s.shape[1] for s in raw]))) > 3
    for a, b in zip(prepare(raw, 'ntu25'), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_another_order_fails(golden):
    raw, expected = golden
    steps = default_preparation(50)
    keypoint, _ = prepare(raw, 'ntu25', pipeline=[steps[0], steps[2], steps[1]])
    assert (keypoint - expected).abs().max() > 1e-2


def smooth(m=1, t=30, layout='ntu25', channels=3, seed=0):
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.02, (m, t, get_layout(layout).num_joints, channels)).cumsum(1)
    return (rng.normal(size=steps[:, :1].shape) + steps + 3).astype(np.float32)


@pytest.mark.parametrize('length', [1, 2, 17, 50, 99])
def test_resize_is_half_pixel_linear(length, make_batch):
    batch = make_batch(n=1, t=length, absent=False)
    x = ResizeFrames(50)(batch)['keypoint']
    flat = batch['keypoint'][0].permute(0, 2, 3, 1).flatten(0, 2)[None]
    expected = F.interpolate(flat, size=50, mode='linear', align_corners=False)[0]
    torch.testing.assert_close(x[0].permute(0, 2, 3, 1).flatten(0, 2), expected)


def test_only_recorded_frames_count():
    sequence = smooth(t=40)
    padded = np.pad(sequence, ((0, 0), (0, 25), (0, 0), (0, 0)))
    torch.testing.assert_close(prepare([padded], 'ntu25')[0], prepare([sequence], 'ntu25')[0])


def test_the_first_body_sets_the_length_of_both():
    two = np.concatenate([smooth(t=40), smooth(t=40, seed=1)])
    two[0, 30:] = 0
    cut, _ = prepare([two[:, :30]], 'ntu25')
    torch.testing.assert_close(prepare([two], 'ntu25')[0], cut)


def test_length_is_counted_before_centring():
    layout = get_layout('ntu25')
    sequence = smooth(t=20)
    sequence[:, :, 0] = sequence[:, :, layout.centre]  # zero once centred
    padded = np.pad(sequence, ((0, 0), (0, 5), (0, 0), (0, 0)))
    batch = dict(keypoint=torch.from_numpy(padded)[None],
                 mask=torch.ones(1, 1, dtype=torch.bool), layout=layout)
    assert Centre()(batch)['length'].tolist() == [20]


def test_a_first_joint_kept_at_the_origin_does_not_empty_the_sequence():
    sequence = smooth(t=20)
    sequence -= sequence[:, :, :1]
    padded = np.pad(sequence, ((0, 0), (0, 30), (0, 0), (0, 0)))
    torch.testing.assert_close(prepare([padded], 'ntu25')[0], prepare([sequence], 'ntu25')[0])
    assert prepare([sequence], 'ntu25')[0][0, 0].abs().amax((-1, -2)).min() > 0


def test_alignment_formula_frame_by_frame():
    layout = get_layout('ntu25')
    x = smooth(m=2, t=6).astype(np.float64)
    x -= x[:, :, layout.centre:layout.centre + 1]
    batch = dict(keypoint=torch.from_numpy(x)[None], mask=torch.ones(1, 2, dtype=torch.bool),
                 layout=layout)
    out = AlignShoulders()(batch)['keypoint'][0].numpy()
    for m in range(2):
        d = x[m, :, 8] - x[m, :, 4]
        sign = -1 if d[:, 2].sum() >= 0 else 1
        for t in range(6):
            theta = sign * math.acos(d[t, 0] / (math.hypot(d[t, 0], d[t, 2]) + 1e-4))
            turn = np.array([[math.cos(theta), 0, -math.sin(theta)], [0, 1, 0],
                             [math.sin(theta), 0, math.cos(theta)]])
            np.testing.assert_allclose(out[m, t], x[m, t] @ turn.T, atol=1e-12)


@pytest.mark.parametrize('degrees', [10, 80, 179, -10, -80, -179])
def test_a_still_person_faces_the_camera_whatever_the_start(degrees):
    layout = get_layout('ntu25')
    angle = math.radians(degrees)
    x = np.repeat(smooth(t=1), 10, axis=1)
    turn = np.array([[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0],
                     [math.sin(angle), 0, math.cos(angle)]], np.float32)
    left, right = layout.shoulders
    x[:, :, left], x[:, :, right] = (-1, 0, 0), (1, 0, 0)
    out = prepare([x @ turn.T], layout)[0][0, 0]
    d = out[:, right] - out[:, left]
    assert (d[:, 2].abs() < 0.05).all() and (d[:, 0] > 1.9).all()


@pytest.mark.parametrize('layout', sorted(list_layouts()))
@pytest.mark.parametrize('channels', [2, 3])
def test_every_layout_is_centred_and_keeps_its_shape(layout, channels):
    sequence = smooth(t=12, layout=layout, channels=channels)
    layout = get_layout(layout)
    keypoint, mask = prepare([sequence], layout, num_frames=16)
    assert keypoint.shape == (1, 2, 16, layout.num_joints, channels)
    assert mask.tolist() == [[True, False]] and (keypoint[:, 1] == 0).all()
    assert keypoint[..., list(layout.origin), :].mean(3).abs().max() < 1e-5
    # alignment is a turn, centring a shift: the bones keep their lengths
    if channels == 3:
        child, parent = np.array(layout.bones).T
        still = np.repeat(sequence[:, :1], 12, axis=1)
        out = prepare([still], layout, num_frames=16)[0][0, 0, 0].numpy()
        length, expected = (np.linalg.norm(x[child] - x[parent], axis=-1)
                            for x in (out, still[0, 0]))
        np.testing.assert_allclose(length, expected, atol=1e-4)


def test_flat_data_are_not_turned():
    batch_2d = smooth(t=16, layout='coco17', channels=2)
    layout = get_layout('coco17')
    keypoint, _ = prepare([batch_2d], layout, num_frames=16)
    origin = batch_2d[:, :, list(layout.origin)].mean(2, keepdims=True)
    torch.testing.assert_close(keypoint[0, 0], torch.from_numpy((batch_2d - origin)[0]),
                               rtol=1e-5, atol=1e-5)


def test_persons_beyond_the_last_are_left_out_and_missing_ones_absent():
    three = np.concatenate([smooth(seed=i) for i in range(3)])
    two, mask = prepare([three], 'ntu25', max_persons=2)
    torch.testing.assert_close(two, prepare([three[:2]], 'ntu25')[0])
    assert mask.all()
    assert prepare([three], 'ntu25', max_persons=4)[1].tolist() == [[True, True, True, False]]


def test_wrong_input_is_named():
    with pytest.raises(DataError, match='no sequences'):
        prepare([], 'ntu25')
    with pytest.raises(DataError, match=r'sequence 1 has shape \(1, 30, 20, 3\)'):
        prepare([smooth(), smooth(layout='kinect20_utdmhad')], 'ntu25')
    with pytest.raises(DataError, match='sequence 0'):
        prepare([smooth()[:, :0]], 'ntu25')
    with pytest.raises(ConfigError, match='num_frames=50'):
        prepare([smooth()], 'ntu25', pipeline=[dict(type='Centre')])
    with pytest.raises(ConfigError, match='num_frames is 0'):
        ResizeFrames(0)
