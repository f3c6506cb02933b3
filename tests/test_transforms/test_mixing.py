"""Skeleton AdaIN and Skeleton Mix against plain loops over samples."""
import numpy as np
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.transforms import SkeletonAdaIN, SkeletonMix, ToStream, to_bone

CUTMIX = dict(cutmix=1., resizemix=0., mixup=0.)
RESIZEMIX = dict(cutmix=0., resizemix=1., mixup=0.)
MIXUP = dict(cutmix=0., resizemix=0., mixup=1.)


def test_adain_joints_take_the_partners_bone_lengths(make_batch):
    batch = make_batch(absent=False, dtype=torch.float64)
    layout = batch['layout']
    x, partner = batch['keypoint'], batch['partner']
    out = SkeletonAdaIN()(batch)['keypoint']
    own, new = to_bone(x, layout), to_bone(out, layout)
    torch.testing.assert_close(new.norm(dim=-1), own[partner].norm(dim=-1))
    bones = [child for child, _ in layout.bones]
    torch.testing.assert_close(torch.cosine_similarity(new, own, dim=-1)[..., bones],
                               torch.ones(*x.shape[:3], len(bones), dtype=torch.float64))
    assert torch.equal(out[..., layout.centre, :], x[..., layout.centre, :])


def test_adain_bones_take_the_partners_lengths(make_batch):
    batch = ToStream('bone')(make_batch(absent=False, dtype=torch.float64))
    x, partner = batch['keypoint'].numpy(), batch['partner'].numpy()
    out = SkeletonAdaIN()(batch)['keypoint'].numpy()
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    with np.errstate(invalid='ignore'):
        expected = np.nan_to_num(x / length * length[partner])
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_adain_motion_formula(make_batch):
    batch = ToStream('motion')(make_batch(absent=False, dtype=torch.float64))
    x = batch['keypoint'].numpy()
    out = SkeletonAdaIN()(batch)['keypoint'].numpy()
    for n, p in enumerate(batch['partner'].tolist()):
        for m in range(2):
            a, b = x[n, m], x[p, m]  # (T, V, C)
            expected = ((a - a.mean(1, keepdims=True)) / (a.std(0) + 1e-3) * b.std(0)
                        + b.mean(1, keepdims=True))
            np.testing.assert_allclose(out[n, m], expected, atol=1e-10)


@pytest.mark.parametrize('stream', ['joint', 'motion', 'bone'])
@pytest.mark.parametrize('transform', [SkeletonAdaIN(), SkeletonMix(**CUTMIX), SkeletonMix(**MIXUP),
                                       SkeletonMix(**RESIZEMIX)])
def test_a_person_the_partner_lacks_is_left_alone(stream, transform, make_batch):
    batch = ToStream(stream)(make_batch())
    out = transform(batch)['keypoint']
    mask, partner = batch['mask'], batch['partner']
    alone = mask & ~mask[partner]
    assert alone.any()
    assert torch.equal(out[alone], batch['keypoint'][alone])
    both = mask & mask[partner]
    assert (out != batch['keypoint'])[both].flatten(1).any(1).all()


def test_adain_with_oneself_changes_nothing(make_batch):
    batch = make_batch()
    batch['partner'] = torch.arange(6)
    torch.testing.assert_close(SkeletonAdaIN()(batch)['keypoint'], batch['keypoint'],
                               rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('layout', ['ntu25', 'kinect20_utdmhad', 'coco17'])
@pytest.mark.parametrize('parts, cells', [((2, 3), (3, 5)), ((1, 2), (1, 3))])
@pytest.mark.parametrize('kind', [CUTMIX, RESIZEMIX])
def test_the_region_is_some_parts_over_a_run_of_cells(kind, parts, cells, layout, make_batch):
    batch = make_batch(layout, n=150, absent=False)
    own = SkeletonMix(**kind, parts=parts, cells=cells)(batch)['mix_mask']
    assert own.shape == (150, 50, batch['layout'].num_joints)
    part_joints = [set(joints) for joints in batch['layout'].parts.values()]
    seen_parts, seen_cells, seen_starts, seen_stops = set(), set(), set(), set()
    for region in (own == 0).numpy():
        frames, joints = region.any(1).nonzero()[0], set(region.any(0).nonzero()[0].tolist())
        assert region.sum() == len(frames) * len(joints)  # a rectangle
        whole = [p for p in part_joints if p <= joints]
        assert set().union(*whole) == joints
        start, stop = frames[0], frames[-1] + 1
        assert len(frames) == stop - start and start % 4 == 0 and (stop % 4 == 0 or stop == 50)
        seen_parts.add(len(whole))
        seen_cells.add(-(-(stop - start) // 4))
        seen_starts.add(start)
        seen_stops.add(stop)
    assert seen_parts == set(range(parts[0], parts[1] + 1))
    assert seen_cells == set(range(cells[0], cells[1] + 1))
    # the last cell holds two frames only, and is as good as the others
    assert 0 in seen_starts and 50 in seen_stops


def test_cutmix_pastes_exactly_the_partner(make_batch):
    batch = make_batch(n=20, absent=False)
    out = SkeletonMix(**CUTMIX)(batch)
    own = out['mix_mask'].bool()[:, None].expand(-1, 2, -1, -1)
    x, other = batch['keypoint'], batch['keypoint'][batch['partner']]
    assert torch.equal(out['keypoint'][own], x[own])
    assert torch.equal(out['keypoint'][~own], other[~own])


def test_resizemix_pastes_the_partners_beginning_at_double_speed(make_batch):
    batch = make_batch(n=40, absent=False)
    out = SkeletonMix(**RESIZEMIX)(batch)
    x, y, partner = batch['keypoint'], out['keypoint'], batch['partner']
    for n, own in enumerate(out['mix_mask'].bool()):
        frames, joints = (~own).any(1).nonzero()[:, 0], (~own).any(0).nonzero()[:, 0]
        count = len(frames)
        # 2·rt -> rt with half-pixel centres is the mean of each pair of frames
        halved = x[partner[n]][:, :2 * count].unflatten(1, (count, 2)).mean(2)
        torch.testing.assert_close(y[n][:, frames][:, :, joints], halved[:, :, joints])
        assert torch.equal(y[n][:, own], x[n][:, own])


def test_mixup_weighs_whole_sequences(make_batch):
    batch = make_batch(n=400, t=2, absent=False)
    out = SkeletonMix(**MIXUP)(batch)
    lam = out['mix_mask'][:, 0, 0]
    assert torch.equal(out['mix_mask'], lam[:, None, None].expand_as(out['mix_mask']))
    x, other = batch['keypoint'], batch['keypoint'][batch['partner']]
    weight = lam[:, None, None, None, None]
    torch.testing.assert_close(out['keypoint'], other + weight * (x - other), rtol=1e-4, atol=1e-5)


def test_what_the_probabilities_leave_is_not_mixed(make_batch):
    batch = make_batch(n=300, t=24, absent=False)
    out = SkeletonMix(cutmix=0.2, resizemix=0.1, mixup=0.1)(batch)
    same = (out['keypoint'] == batch['keypoint']).flatten(1).all(1)
    assert same.float().mean().item() == pytest.approx(0.6, abs=0.1)
    assert torch.equal((out['mix_mask'] == 1).flatten(1).all(1), same)


@pytest.mark.parametrize('arguments, message', [
    (dict(cutmix=0.9), 'sum to at most 1'), (dict(mixup=-0.1), 'sum to at most 1'),
    (dict(parts=(3, 2)), r'parts is \(3, 2\)'), (dict(cells=(0, 2)), r'cells is \(0, 2\)'),
    (dict(cell_frames=0), 'cell_frames is 0')])
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        SkeletonMix(**arguments)
