"""Actionlets against golden numbers and against plain autograd through the pooled feature."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmactclr.errors import ConfigError
from mmactclr.models.heads import (
    ActionletHead,
    actionlet_map,
    anchor_gradient,
    part_neighbourhood,
    select_region,
    semantic_aware_pooling,
    upsample_region,
)
from mmactclr.models.persons import PersonRows, fold_persons
from mmactclr.structures import get_layout, list_layouts


def make_rows(n: int, m: int, present=None) -> PersonRows:
    mask = torch.ones(n, m, dtype=torch.bool) if present is None else present
    return fold_persons(torch.zeros(n, m, 1, 1, 3), mask, skip_absent=False)[1]


@pytest.fixture
def golden(golden_dir):
    loaded = np.load(golden_dir / 'actionlet.npz', allow_pickle=False)
    return {key: torch.from_numpy(loaded[key]) for key in loaded.files}


def golden_projector(golden) -> nn.Sequential:
    projector = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128)).double()
    projector[0].weight.data, projector[0].bias.data = golden['w1'], golden['b1']
    projector[2].weight.data, projector[2].bias.data = golden['w2'], golden['b2']
    return projector


def test_every_step_meets_the_golden_numbers(golden):
    projector = golden_projector(golden)
    h, rows = golden['feature_map'], make_rows(8, 2)
    pooled = rows.mean(h.mean((2, 3)))
    z_anchor = projector(golden['anchor_feature_map'].mean((2, 3)).mean(0, keepdim=True))
    gradient = anchor_gradient(pooled, projector, z_anchor)
    close = dict(atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(F.normalize(z_anchor, dim=1), F.normalize(golden['z_anchor'], dim=1), **close)
    torch.testing.assert_close(F.normalize(projector(pooled), dim=1), F.normalize(golden['z'], dim=1), **close)
    cells = rows.count()[:, None] * h.shape[2] * h.shape[3]
    torch.testing.assert_close((gradient / cells)[rows.owner], golden['delta_h'], atol=1e-9, rtol=1e-6)

    head = ActionletHead('ntu25')
    torch.testing.assert_close(head.neighbourhood.double(), golden['adjacency'], **close)
    actionlet = actionlet_map(h, rows, gradient, golden['adjacency'])
    torch.testing.assert_close(actionlet, golden['actionlet'], atol=1e-9, rtol=1e-6)
    safp = rows.mean(semantic_aware_pooling(h, actionlet))
    torch.testing.assert_close(safp, golden['safp'], **close)
    assert projector[0].weight.grad is None


def test_binary_selection_takes_about_a_third_and_max_far_less(golden):
    """The method's description states about 30% of the entries for the golden maps."""
    binary = select_region(golden['actionlet'], 'binary')
    assert set(binary.unique().tolist()) == {0.0, 1.0}
    assert 0.2 < binary.mean() < 0.4
    assert select_region(golden['actionlet'], 'max').mean() < 0.7 * binary.mean()


def test_closed_form_equals_autograd_through_the_feature_map():
    torch.manual_seed(0)
    h = torch.rand(6, 8, 4, 25).double().requires_grad_(True)
    projector = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5)).double()
    rows, z_anchor = make_rows(3, 2), torch.randn(1, 5).double()
    z = projector(h.mean((2, 3)).view(3, 2, 8).mean(1))
    delta, = torch.autograd.grad(-F.cosine_similarity(z, z_anchor).sum(), h)
    alpha = delta.relu().mean((2, 3))
    graph = torch.rand(25, 25).double()
    expected = (alpha[:, :, None, None] * h).sum(1).relu() @ graph
    actual = actionlet_map(h.detach(), rows, anchor_gradient(rows.mean(h.mean((2, 3))), projector, z_anchor), graph)
    torch.testing.assert_close(actual, expected.detach())


def test_absent_persons_get_a_zero_mask_and_pool_like_the_mean():
    torch.manual_seed(0)
    mask = torch.tensor([[True, False], [True, True]])
    rows, h = make_rows(2, 2, mask), torch.rand(4, 8, 3, 25)
    head = ActionletHead('ntu25')
    actionlet = head(h, rows, nn.Linear(8, 4), torch.randn(1, 4))
    assert (actionlet[1] == 0).all() and (actionlet[[0, 2, 3]] > 0).any()
    torch.testing.assert_close(semantic_aware_pooling(h, actionlet)[1], h[1].mean((1, 2)))
    assert (head.region(actionlet, 12)[1] == 0).all()


@pytest.mark.parametrize('mode', ['binary', 'max'])
def test_selection_stays_in_range_and_does_not_depend_on_scale(mode):
    a = torch.rand(3, 5, 25)
    region = select_region(a, mode)
    assert region.min() >= 0 and region.max() <= 1
    torch.testing.assert_close(region, select_region(a * 1e-6, mode))


def test_upsampling_keeps_the_corners():
    a = torch.rand(2, 13, 25)
    up = upsample_region(a, 50)
    assert up.shape == (2, 50, 25)
    torch.testing.assert_close(up[:, 0], a[:, 0])
    torch.testing.assert_close(up[:, -1], a[:, -1])


def test_unknown_selection():
    with pytest.raises(ConfigError, match='binary, max, saturate'):
        ActionletHead('ntu25', selection='soft')


def test_the_release_map_written_out(golden):
    """alpha with its sign, mean over channels, mean over body parts, divided by 1e-8 and clipped at one."""
    h, layout, rows = golden['feature_map'], get_layout('ntu25'), make_rows(8, 2)
    gradient = golden['delta_h'][::2] * (2 * 13 * 25)
    head = ActionletHead('ntu25', selection='saturate', smoothing='part', signed=True, channels='mean',
                         pooling='selection')
    raw = actionlet_map(h, rows, gradient, head.neighbourhood.double(), signed=True, channels='mean')
    found = head.select(raw)
    for row in range(16):
        alpha = (gradient[row // 2] / (2 * 13 * 25)).numpy()
        cells = np.maximum((alpha[:, None, None] * h[row].numpy()).mean(0), 0)
        for joints in layout.parts.values():
            part = np.clip(cells[:, list(joints)].mean(1) / 1e-8, 0, 1)
            for joint in joints:
                np.testing.assert_allclose(found[row, :, joint].numpy(), part, atol=1e-6)
    # most of it is all or nothing
    assert 0.05 < (found > 0.5).double().mean() < 0.95
    assert ((found > 0.01) & (found < 0.99)).double().mean() < 0.2
    expected = semantic_aware_pooling(h, found)
    torch.testing.assert_close(head.pool(h, raw), expected)
    assert not torch.allclose(ActionletHead('ntu25').pool(h, raw), expected)


@pytest.mark.parametrize('layout', list_layouts())
def test_parts_are_averaged_over_their_own_joints(layout):
    layout = get_layout(layout)
    x = torch.rand(3, layout.num_joints)
    smooth = x @ part_neighbourhood(layout)
    for joints in layout.parts.values():
        joints = list(joints)
        torch.testing.assert_close(smooth[:, joints], x[:, joints].mean(1, keepdim=True).expand(3, len(joints)))


@pytest.mark.parametrize('switch', ['selection', 'smoothing', 'channels', 'pooling'])
def test_unknown_switches_are_named(switch):
    with pytest.raises(ConfigError, match=f'{switch} is .none such.'):
        ActionletHead('ntu25', **{switch: 'none such'})


def test_saturation_is_positive():
    with pytest.raises(ConfigError, match='saturation is 0'):
        ActionletHead('ntu25', saturation=0)
