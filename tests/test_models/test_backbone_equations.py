"""Layers of the backbones against their equations written out, against PyTorch's own layers, and their symmetries."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmactclr.models.backbones import build_adjacency, transformer
from mmactclr.models.backbones.agcn import AdaptiveGraphConvolution
from mmactclr.models.backbones.bigru import JointGRU
from mmactclr.models.backbones.ctrgcn import RefinedGraphConvolution
from mmactclr.models.backbones.embedding import frame_waves
from mmactclr.models.backbones.stgcnpp import FreeGraphConvolution
from mmactclr.models.backbones.temporal import GraphUnit, MultiBranchTemporal, Pointwise, TemporalConvolution
from mmactclr.models.backbones.transformer import AttentionUnit, SelfAttention
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from tests.test_models.any_backbone import LAYOUT, build, stir

GRAPHS = ['AGCN', 'CTRGCN', 'STGCN', 'STGCNPP']
SEQUENCES = ['BiGRU', 'SkeletonTransformer']
CHANNELS = [(3, 8), (8, 8), (8, 4)]


def double(module):
    stir(module)
    return module.double().eval()


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


def normed(norm, y):
    """What batch norm in eval mode does to (..., C, T, V), spelled out."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def around(module, x):
    """The way around a layer, spelled out."""
    if isinstance(module, nn.Identity):
        return x
    conv, norm = module
    y = torch.einsum('oc,nctv->notv', conv.weight[:, :, 0, 0], x) + conv.bias[:, None, None]
    return normed(norm, y)


@pytest.mark.parametrize('channels', CHANNELS)
def test_free_graph_convolution_is_the_sum_over_subsets(channels):
    cin, cout = channels
    layer = double(FreeGraphConvolution(cin, cout, build_adjacency(LAYOUT)))
    x = draw(2, cin, 5, 20)
    weight, bias = layer.conv.weight.view(3, cout, cin), layer.conv.bias.view(3, cout)
    y = sum(torch.einsum('oc,nctv,vw->notw', weight[k], x, layer.topology[k])
            + torch.einsum('o,vw->ow', bias[k], layer.topology[k])[:, None] for k in range(3))
    torch.testing.assert_close(layer(x), (normed(layer.norm, y) + around(layer.residual, x)).relu())


@pytest.mark.parametrize('channels', CHANNELS)
def test_topology_is_refined_channel_by_channel(channels):
    cin, cout = channels
    layer = double(RefinedGraphConvolution(cin, cout, build_adjacency(LAYOUT)))
    x = draw(2, cin, 4, 20)
    mean = x.mean(2)
    reduced = layer.psi.out_channels // 3

    def linear(conv, y, k, rows):
        part = slice(k * rows, (k + 1) * rows)
        return conv.weight[part, :, 0, 0] @ y + conv.bias[part, None]

    expected = torch.zeros(2, cout, 4, 20, dtype=torch.float64)
    for n in range(2):
        for k in range(3):
            psi, phi = linear(layer.psi, mean[n], k, reduced), linear(layer.phi, mean[n], k, reduced)
            sent = torch.stack([linear(layer.transform, x[n, :, t], k, cout) for t in range(4)], 1)
            xi, bias = layer.xi.weight[k * cout:(k + 1) * cout, :, 0, 0], layer.xi.bias[k * cout:(k + 1) * cout]
            for c in range(cout):
                # Eq. 5-8: Q[i, j] of receiver i and sender j
                q = torch.stack([torch.stack([(xi[c] * (psi[:, i] - phi[:, j]).tanh()).sum() + bias[c]
                                              for j in range(20)]) for i in range(20)])
                refined = layer.topology[k].t() + layer.alpha * q
                for t in range(4):
                    expected[n, c, t] += refined @ sent[c, t]
    torch.testing.assert_close(layer(x), (normed(layer.norm, expected) + around(layer.residual, x)).relu())


def test_without_refinement_it_is_a_graph_convolution_with_one_topology():
    layer = double(RefinedGraphConvolution(8, 8, build_adjacency(LAYOUT)))
    layer.reset_parameters()
    x = draw(2, 8, 4, 20)
    y = torch.einsum('nkctv,kvw->nctw', F.conv2d(x, layer.transform.weight, layer.transform.bias).view(2, 3, 8, 4, 20),
                     build_adjacency(LAYOUT).double())
    torch.testing.assert_close(layer(x), (normed(layer.norm, y) + x).relu())


@pytest.mark.parametrize('channels', CHANNELS)
def test_adaptive_graph_is_the_sum_of_three(channels):
    cin, cout = channels
    fixed = build_adjacency(LAYOUT)
    layer = double(AdaptiveGraphConvolution(cin, cout, fixed))
    x = draw(2, cin, 4, 20)
    embedded = max(1, cout // 4)
    y = torch.zeros(2, cout, 4, 20, dtype=torch.float64)
    for k in range(3):
        part = slice(k * embedded, (k + 1) * embedded)
        theta, phi = (torch.einsum('ec,nctv->netv', conv.weight[part, :, 0, 0], x) + conv.bias[part][:, None, None]
                      for conv in (layer.theta, layer.phi))
        similarity = (torch.einsum('netv,netw->nvw', theta, phi) / (embedded * 4)).exp()
        similarity = similarity / similarity.sum(1, keepdim=True)
        graph = fixed[k].double() + layer.learned[k] + similarity
        weight = layer.transform.weight[:, k * cin:(k + 1) * cin, 0, 0]
        y += torch.einsum('oc,nctv,nvw->notw', weight, x, graph)
    y += layer.transform.bias[:, None, None]
    torch.testing.assert_close(layer(x), (normed(layer.norm, y) + around(layer.residual, x)).relu())
    torch.testing.assert_close(layer.similarity(x).sum(2), torch.ones(2, 3, 20, dtype=torch.float64))


def test_without_learned_graph_and_similarity_it_is_a_plain_graph_convolution(monkeypatch):
    fixed = build_adjacency(LAYOUT)
    layer = double(AdaptiveGraphConvolution(8, 8, fixed))
    x = draw(2, 8, 4, 20)
    layer.reset_parameters()
    monkeypatch.setattr(layer, 'similarity', lambda x: torch.zeros(2, 3, 20, 20))
    y = sum(F.conv2d(x @ fixed[k].double(), layer.transform.weight[:, 8 * k:8 * k + 8]) for k in range(3))
    y = y + layer.transform.bias[:, None, None]
    torch.testing.assert_close(layer(x), (normed(layer.norm, y) + x).relu())


@pytest.mark.parametrize('frames', [1, 2, 9])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('kernel, dilations, merge', [(3, (1, 2, 3, 4), True), (5, (1, 2), False)],
                         ids=['stgcnpp', 'ctrgcn'])
def test_branches_over_time_are_plain_convolutions(kernel, dilations, merge, stride, frames):
    channels, joints = 13, 5
    layer = double(MultiBranchTemporal(channels, stride, kernel, dilations, merge))
    x = draw(2, channels, frames, joints)

    def along_time(y, function):
        n, c, t, v = y.shape
        out = function(y.permute(0, 3, 1, 2).reshape(n * v, c, t))
        return out.view(n, v, *out.shape[1:]).permute(0, 2, 3, 1)

    def pointwise(conv, y):
        return torch.einsum('oc,nctv->notv', conv.weight[:, :, 0, 0], y) + conv.bias[:, None, None]

    found = []
    for number, branch in enumerate(layer.branches):
        if number == len(layer.branches) - 1:
            found.append(normed(branch[1], pointwise(branch[0], x[:, :, ::stride])))
            continue
        y = normed(branch[1], pointwise(branch[0], x)).relu()
        if number < len(dilations):
            conv, norm = branch[3]
            pad = dilations[number] * (kernel // 2)
            y = along_time(y, lambda z, conv=conv, pad=pad, d=dilations[number]: F.conv1d(
                F.pad(z, (pad, pad)), conv.weight[..., 0], conv.bias, stride, dilation=d))
        else:
            norm = branch[4]
            y = along_time(y, lambda z: F.max_pool1d(F.pad(z, (1, 1), value=-torch.inf), 3, stride))
        found.append(normed(norm, y))
    expected = torch.cat(found, 1)
    assert expected.shape == (2, channels, -(-frames // stride), joints) and len(found) == len(dilations) + 2
    if merge:
        expected = normed(layer.merge[2], pointwise(layer.merge[1], expected.relu()))
    torch.testing.assert_close(layer(x), expected)


def test_a_unit_adds_the_way_around_it():
    unit = double(GraphUnit(Pointwise(4, 6), TemporalConvolution(6, 3, 2), nn.Identity(), Pointwise(4, 6, 2)))
    x = draw(2, 4, 7, 5)
    conv, norm = unit.tcn
    y = normed(norm, F.conv2d(unit.gcn(x), conv.weight, conv.bias, (2, 1), (1, 0)))
    torch.testing.assert_close(unit(x), (y + F.conv2d(x, unit.residual.weight, unit.residual.bias, (2, 1))).relu())


def test_attention_is_that_of_pytorch():
    layer = double(SelfAttention(12, 3))
    x = draw(4, 7, 12)
    other = nn.MultiheadAttention(12, 3, batch_first=True).double()
    other.load_state_dict({'in_proj_weight': layer.inward.weight, 'in_proj_bias': layer.inward.bias,
                           'out_proj.weight': layer.outward.weight, 'out_proj.bias': layer.outward.bias})
    torch.testing.assert_close(layer(x), other(x, x, x, need_weights=False)[0])
    query, key, value = layer.inward(x).view(4, 7, 3, 3, 4).permute(2, 0, 3, 1, 4)
    fused = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(4, 7, 12)
    torch.testing.assert_close(layer(x), layer.outward(fused))


def test_spatial_attention_stays_in_a_frame_and_temporal_attention_with_a_joint():
    unit = double(AttentionUnit(8, 8, 1, 2, 0.))
    x = draw(1, 8, 5, 6).requires_grad_()
    unit(x)[0, :, 2, 3].sum().backward()
    reached = x.grad[0].abs().amax(0) > 1e-12
    # together they reach all frames and joints, each alone its row or column
    assert reached.all()
    for name, kept in (('temporal', (2, slice(None))), ('spatial', (slice(None), 3))):
        one = double(AttentionUnit(8, 8, 1, 2, 0.))
        nn.init.zeros_(getattr(one, name).outward.weight)
        x.grad = None
        one(x)[0, :, 2, 3].sum().backward()
        expected = torch.zeros(5, 6, dtype=torch.bool)
        expected[kept] = True
        assert torch.equal(x.grad[0].abs().amax(0) > 1e-12, expected)


@pytest.mark.parametrize('channels', [4, 7])
def test_waves_of_the_frames(channels):
    half = (channels + 1) // 2
    angles = np.arange(9)[:, None] / 10000 ** (np.arange(half) / half)
    expected = np.concatenate([np.sin(angles), np.cos(angles)], 1)[:, :channels]
    np.testing.assert_allclose(frame_waves(9, channels, torch.device('cpu')).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize('stride', [1, 2])
def test_gru_is_the_equations_of_every_joint(stride):
    layer = double(JointGRU(3, 8, stride))
    x = draw(2, 3, 5, 4)

    def run(sequence, suffix):
        gru, state, states = layer.gru, torch.zeros(4, dtype=torch.float64), []
        for value in sequence:
            inward = getattr(gru, f'weight_ih_l0{suffix}') @ value + getattr(gru, f'bias_ih_l0{suffix}')
            own = getattr(gru, f'weight_hh_l0{suffix}') @ state + getattr(gru, f'bias_hh_l0{suffix}')
            (r, z, n), (hr, hz, hn) = inward.chunk(3), own.chunk(3)
            reset, update = (r + hr).sigmoid(), (z + hz).sigmoid()
            state = (1 - update) * (n + reset * hn).tanh() + update * state
            states.append(state)
        return states

    expected = torch.empty(2, 8, 5, 4, dtype=torch.float64)
    for n in range(2):
        body = x[n].mean(2)
        for v in range(4):
            sequence = [torch.cat([x[n, :, t, v], body[:, t]]) for t in range(5)]
            forth, back = run(sequence, ''), run(sequence[::-1], '_reverse')[::-1]
            for t in range(5):
                expected[n, :, t, v] = torch.cat([forth[t], back[t]])
    torch.testing.assert_close(layer(x), expected[:, :, ::stride])


@pytest.mark.parametrize('layout', [LAYOUT, 'ntu25'])
@pytest.mark.parametrize('name', GRAPHS)
def test_a_mirrored_skeleton_gives_the_mirrored_map_of_a_graph_that_starts_as_the_skeleton(name, layout):
    torch.manual_seed(0)
    encoder = MODELS.build(dict(type=name, layout=layout, channels=[8, 12], strided_units=[2])).double().eval()
    flip = list(get_layout(layout).flip_index)
    assert flip != sorted(flip)
    x = draw(2, 3, 9, len(flip))
    with torch.no_grad():
        torch.testing.assert_close(encoder(x[..., flip]), encoder(x)[..., flip], atol=1e-6, rtol=1e-6)
        assert not torch.allclose(encoder(x[..., flip]), encoder(x), atol=1e-3)


@pytest.mark.parametrize('name', SEQUENCES)
def test_without_a_graph_joints_are_told_apart_by_their_learned_vectors_alone(name):
    encoder = build(name).double().eval()
    encoder.data_bn.reset_parameters()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    x = draw(2, 3, 9, 20)
    with torch.no_grad():
        expected = encoder(x)[..., order]
        assert not torch.allclose(encoder(x[..., order]), expected, atol=1e-3)
        encoder.embedding.joints.copy_(encoder.embedding.joints[..., order].clone())
        torch.testing.assert_close(encoder(x[..., order]), expected)


def test_frames_are_told_apart_by_their_waves_alone(monkeypatch):
    encoder = MODELS.build(dict(type='SkeletonTransformer', layout=LAYOUT, channels=[8, 12], strided_units=[],
                                head_channels=4)).double().eval()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    x = draw(2, 3, 9, 20)
    with torch.no_grad():
        assert not torch.allclose(encoder(x[:, :, order]), encoder(x)[:, :, order], atol=1e-3)
        monkeypatch.setattr(transformer, 'frame_waves', lambda frames, channels, device: torch.zeros(frames, channels))
        torch.testing.assert_close(encoder(x[:, :, order]), encoder(x)[:, :, order])


@pytest.mark.parametrize('name', GRAPHS)
def test_joints_far_apart_on_the_skeleton_do_not_meet_in_one_unit_unless_the_graph_is_learned_from_data(name):
    torch.manual_seed(0)
    encoder = MODELS.build(dict(type=name, layout='ntu25', channels=[8], strided_units=[])).double().eval()
    x = draw(1, 3, 6, 25).requires_grad_()
    layout = get_layout('ntu25')
    hand = layout.joints.index('right_hand')
    encoder(x)[0, :, :, hand].sum().backward()
    reached = {joint for joint in range(25) if x.grad[0, ..., joint].abs().max() > 1e-12}
    near = {hand, *(a if b == hand else b for a, b in layout.bones if hand in (a, b))}
    assert reached == (set(range(25)) if name == 'AGCN' else near)
