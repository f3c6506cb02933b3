"""The encoder against the authors' weights and against a convolution written the plain way."""
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError
from mmactclr.models import STGCN
from mmactclr.models.backbones.stgcn import GraphConvolution
from mmactclr.structures import list_layouts

RELEASE = dict(channels=(16,) * 4 + (32,) * 3 + (64,) * 2 + (256,), strided_units=(5, 8))


def from_public_names(state: dict) -> dict:
    """Names of the public ActCLR / AimCLR checkpoints to names of STGCN."""
    renamed = {}
    for key, value in state.items():
        key = key.removeprefix('encoder_q.')
        if key.startswith('fc.'):
            continue
        key = re.sub(r'^A$', 'adjacency', key)
        key = re.sub(r'^st_gcn_networks\.(\d+)\.', r'units.\1.', key)
        renamed[key.replace('.gcn.conv.', '.gcn.')] = value
    return renamed


@pytest.fixture
def public_state(golden_dir):
    return torch.load(golden_dir / 'official_actclr_ntu60_xview_joint_linear.pt', weights_only=True)


def test_forward_reproduces_the_public_weights(golden_dir, public_state):
    golden = np.load(golden_dir / 'stgcn_forward.npz', allow_pickle=False)
    encoder = STGCN('ntu25', **RELEASE).eval()
    missing, unexpected = encoder.load_state_dict(from_public_names(public_state), strict=True)
    assert not missing and not unexpected
    x = torch.from_numpy(golden['x'])
    n, c, t, v, m = x.shape
    with torch.no_grad():
        feature_map = encoder(x.permute(0, 4, 1, 2, 3).reshape(n * m, c, t, v))
        pooled = feature_map.mean((2, 3)).view(n, m, -1).mean(1)
        weight, bias = public_state['encoder_q.fc.weight'], public_state['encoder_q.fc.bias']
        logits = F.linear(pooled, weight.flatten(1), bias)
    for name, value in dict(feature_map=feature_map, pooled=pooled, logits=logits).items():
        np.testing.assert_allclose(value.numpy(), golden[name], atol=1e-4, err_msg=name)


def test_release_encoder_has_the_published_number_of_parameters():
    encoder = STGCN('ntu25', **RELEASE)
    classifier = 256 * 60 + 60
    assert sum(p.numel() for p in encoder.parameters()) + classifier == 836_800


@pytest.mark.parametrize('channels', [(3, 16), (16, 16), (64, 16)])
def test_graph_convolution_equals_sum_over_subsets(channels):
    torch.manual_seed(0)
    cin, cout = channels
    conv = GraphConvolution(cin, cout, 3).double()
    x, a = torch.randn(2, 5, 7, cin).double(), torch.rand(3, 7, 7).double()
    weight, bias = conv.weight.view(3, cout, cin), conv.bias.view(3, cout)
    expected = sum((x @ weight[k].t() + bias[k]).transpose(2, 3) @ a[k] for k in range(3)).transpose(2, 3)
    torch.testing.assert_close(conv(x, a), expected)


@pytest.mark.parametrize('layout', list_layouts())
@pytest.mark.parametrize('frames', [1, 30, 50])
def test_feature_map_has_the_declared_shape_on_every_layout(layout, frames):
    encoder = STGCN(layout, channels=(8, 8, 16), strided_units=(2, 3)).eval()
    joints = encoder.layout.num_joints
    out = encoder(torch.randn(2, 3, frames, joints))
    assert out.shape == (2, encoder.out_channels, -(-frames // encoder.temporal_stride), joints)


def test_gradients_reach_every_parameter():
    encoder = STGCN('ntu25', channels=(8, 8, 16), strided_units=(2,))
    encoder(torch.randn(4, 3, 12, 25)).square().mean().backward()
    dead = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a bias in front of batch norm cannot change the output
    assert all(name.endswith('bias') for name in dead), dead


def test_init_std_draws_the_release_initialisation():
    torch.manual_seed(0)
    encoder = STGCN('ntu25', init_std=0.02)
    encoder.init_weights()
    weight = encoder.units[-1].tcn[2].weight
    assert abs(weight.std().item() - 0.02) < 1e-3 and abs(weight.mean().item()) < 1e-3


def test_wrong_number_of_joints_names_both_layouts():
    with pytest.raises(ConfigError, match=r'20 joints.*ntu25.*25 joints'):
        STGCN('ntu25')(torch.randn(1, 3, 10, 20))


def test_strided_unit_that_does_not_exist():
    with pytest.raises(ConfigError, match='numbered from 1 to 2'):
        STGCN('ntu25', channels=(8, 8), strided_units=(3,))


def test_weights_of_init_cfg_are_not_drawn_over():
    encoder = STGCN('ntu25', channels=(4,), strided_units=(), init_std=0.02,
                    init_cfg=dict(type='Constant', layer='Conv2d', val=0.5))
    encoder.init_weights()
    assert (encoder.units[0].tcn[2].weight == 0.5).all()
