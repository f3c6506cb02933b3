"""Adjacency matrices against the public code's and against paths counted in the tree."""
import numpy as np
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.models.backbones.graph import STRATEGIES, build_adjacency, normalised_neighbourhood
from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout, list_layouts

# those that split one normalised neighbourhood; the other normalises every subset by itself
SPLITTING = [strategy for strategy in STRATEGIES if strategy != 'inward_outward']
PUBLIC = {'ntu-rgb+d': 'ntu25', 'openpose': 'openpose18', 'nw-ucla': 'kinect20_nwucla'}


def hop_distance(layout) -> np.ndarray:
    """All-pairs distances in bones, by Floyd and Warshall."""
    num = layout.num_joints
    distance = np.full((num, num), np.inf)
    np.fill_diagonal(distance, 0)
    for child, parent in layout.bones:
        distance[child, parent] = distance[parent, child] = 1
    for via in range(num):
        distance = np.minimum(distance, distance[:, via:via + 1] + distance[via])
    return distance


@pytest.mark.parametrize('strategy', SPLITTING)
@pytest.mark.parametrize('public', PUBLIC)
def test_public_graph_is_met(public, strategy, golden_dir):
    with np.load(golden_dir / 'graph_adjacency.npz', allow_pickle=False) as golden:
        expected = golden[f'{public}/{strategy}']
    found = build_adjacency(PUBLIC[public], strategy)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', list_layouts())
@pytest.mark.parametrize('strategy', SPLITTING)
@pytest.mark.parametrize('hops', ['one', 'full'])
def test_subsets_split_the_normalised_neighbourhood(name, strategy, hops):
    layout = get_layout(name)
    adjacency = build_adjacency(layout, strategy, hops)
    whole = normalised_neighbourhood(name)
    torch.testing.assert_close(adjacency.sum(dim=0), whole, rtol=0, atol=0)
    assert ((adjacency != 0).sum(dim=0) <= 1).all()
    torch.testing.assert_close(whole.sum(dim=0), torch.ones(layout.num_joints))
    assert np.array_equal(whole.numpy() != 0, hop_distance(layout) <= 1)


@pytest.mark.parametrize('name', list_layouts())
def test_full_reach_tells_centripetal_from_centrifugal_for_every_bone(name):
    layout = get_layout(name)
    own, centrifugal, centripetal = build_adjacency(layout, 'spatial', hops='full')
    assert torch.equal(own != 0, torch.eye(layout.num_joints, dtype=torch.bool))
    assert (centrifugal != 0).sum() == (centripetal != 0).sum() == layout.num_joints - 1
    to_centre = hop_distance(layout)[layout.centre]
    for child, parent in layout.bones:
        near, far = (parent, child) if to_centre[parent] < to_centre[child] else (child, parent)
        assert centripetal[near, far] > 0 and centripetal[far, near] == 0
        assert centrifugal[far, near] > 0 and centrifugal[near, far] == 0


@pytest.mark.parametrize('name', list_layouts())
def test_one_hop_reach_is_blind_beyond_the_neighbours_of_the_centre(name):
    layout = get_layout(name)
    centripetal = build_adjacency(layout, 'spatial', hops='one')[2]
    to_centre = hop_distance(layout)[layout.centre]
    senders = {(v, w) for v, w in (centripetal != 0).nonzero().tolist()}
    assert senders == {(parent, child) for child, parent in layout.bones if to_centre[parent] <= 1}


@pytest.mark.parametrize('name', list_layouts())
def test_inward_and_outward_are_normalised_by_themselves(name):
    layout = get_layout(name)
    own, inward, outward = build_adjacency(layout, 'inward_outward').numpy()
    np.testing.assert_array_equal(own, np.eye(layout.num_joints))
    expected = np.zeros((2, layout.num_joints, layout.num_joints))
    for child, parent in layout.bones:
        expected[0, parent, child] = 1
        expected[1, child, parent] = 1 / sum(up == parent for _, up in layout.bones)
    np.testing.assert_allclose([inward, outward], expected, atol=1e-6)


def test_inward_and_outward_of_a_small_tree():
    """Written down by hand: neck 0 with shoulders 1 and 2, hips 3 below 1 and 4 below 2, and a hand 5 below 1."""
    layout = Layout.from_edges(
        'small tree', ['neck', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip', 'left_hand'],
        [(0, 1), (0, 2), (1, 3), (2, 4), (1, 5)])
    inward = torch.tensor([[0, 1, 1, 0, 0, 0],
                           [0, 0, 0, 1, 0, 1],
                           [0, 0, 0, 0, 1, 0],
                           [0, 0, 0, 0, 0, 0],
                           [0, 0, 0, 0, 0, 0],
                           [0, 0, 0, 0, 0, 0]], dtype=torch.float32)
    outward = torch.tensor([[0, 0, 0, 0, 0, 0],
                            [1 / 2, 0, 0, 0, 0, 0],
                            [1 / 2, 0, 0, 0, 0, 0],
                            [0, 1 / 2, 0, 0, 0, 0],
                            [0, 0, 1, 0, 0, 0],
                            [0, 1 / 2, 0, 0, 0, 0]], dtype=torch.float32)
    found = build_adjacency(layout, 'inward_outward')
    torch.testing.assert_close(found, torch.stack([torch.eye(6), inward, outward]))
    # neither of the conventions that split one neighbourhood
    for hops in ('one', 'full'):
        assert not torch.allclose(found, build_adjacency(layout, 'spatial', hops))


def test_the_convention_is_chosen_in_the_backbone_config():
    backbone = MODELS.build(dict(type='STGCN', layout='ntu25', graph=dict(strategy='inward_outward')))
    torch.testing.assert_close(backbone.adjacency, build_adjacency('ntu25', 'inward_outward'))
    assert backbone(torch.randn(1, 3, 12, 25)).shape == (1, 256, 3, 25)


@pytest.mark.parametrize('options', [dict(strategy='special'), dict(hops='two')])
def test_unknown_options_list_the_known_ones(options):
    with pytest.raises(ConfigError, match='[Cc]hoose one of'):
        build_adjacency('ntu25', **options)
