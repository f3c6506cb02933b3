"""What every registered encoder has to do: map, gradients, determinism, precision, absent persons."""
import copy

import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.models import ActCLR, Recognizer, Segmentor
from mmactclr.models.backbones import feature_width
from mmactclr.models.persons import fold_persons
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from tests.test_models.any_backbone import BACKBONES, EXAMPLE, LAYOUT, build, stir, tiny

# 17, 20, 25 and 31 joints
SIZES = ['coco17', LAYOUT, 'ntu25', 'hdm31']


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny batches are fastest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


def cells_of(encoder, frames):
    return -(-frames // encoder.temporal_stride)


def walk(n, frames, joints, seed=0):
    """(N, 3, T, V) random walks."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(n, 3, frames, joints, generator=generator)
    return torch.randn(n, 3, 1, joints, generator=generator) + 0.2 * steps.cumsum(2)


def test_all_five_and_the_example_are_looked_at():
    assert {'STGCN', 'STGCNPP', 'CTRGCN', 'AGCN', 'BiGRU', 'SkeletonTransformer', EXAMPLE} <= set(BACKBONES)


@pytest.mark.parametrize('layout', SIZES)
def test_the_map_has_the_declared_shape(name, layout):
    encoder = build(name, layout).eval()
    joints = get_layout(layout).num_joints
    width = feature_width(encoder, get_layout(layout), 'test')
    assert encoder.temporal_stride > 1
    for frames in (1, 2, 7, 32):
        with torch.no_grad():
            out = encoder(walk(2, frames, joints))
        assert out.shape == (2, width, cells_of(encoder, frames), joints) and torch.isfinite(out).all()
        assert not torch.equal(out[0], out[1])


def test_long_sequences(name):
    encoder = build(name, 'coco17').eval()
    with torch.no_grad():
        out = encoder(walk(1, 300, 17))
    assert out.shape[2] == cells_of(encoder, 300) and torch.isfinite(out).all()
    # the end of a sequence shows in its last cells
    other = walk(1, 300, 17)
    other[:, :, -20:] += 1
    with torch.no_grad():
        changed = (encoder(other) - out).abs().amax((0, 1, 3))
    assert changed[-1] > 1e-3


def test_gradients_are_finite_and_reach_every_parameter(name):
    encoder = build(name).train()
    x = walk(4, 12, 20).requires_grad_()
    out = encoder(x)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    (out * weight).sum().backward()
    for parameter in [x, *encoder.parameters()]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    dead = [each for each, parameter in encoder.named_parameters() if not parameter.grad.abs().max() > 1e-6]
    # a bias in front of a batch norm cannot change the output
    assert all(each.endswith('bias') for each in dead), dead
    assert (x.grad.abs().amax((1, 2)) > 0).all()


def test_the_same_seed_gives_the_same_weights_and_steps(name):
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        encoder = MODELS.build(tiny(name, dropout=0.5)).train()
        out = encoder(walk(3, 9, 20))
        out.square().sum().backward()
        found.append([out, *encoder.state_dict().values(), *(p.grad for p in encoder.parameters())])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_dropout_drops_in_training_alone(name):
    if 'dropout' not in tiny(name, dropout=0.5):
        assert name == EXAMPLE
        return
    encoder = build(name, dropout=0.5)
    x = walk(3, 16, 20)
    with torch.no_grad():
        encoder.train()
        first, second = encoder(x), encoder(x)
        encoder.eval()
        third, fourth = encoder(x), encoder(x)
    assert not torch.allclose(first, second, atol=1e-3) and torch.equal(third, fourth)


def test_rows_do_not_see_each_other_in_eval_mode(name):
    encoder = build(name).eval()
    x = walk(5, 11, 20)
    with torch.no_grad():
        whole, alone = encoder(x), torch.cat([encoder(row[None]) for row in x])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)


def test_double_precision_agrees_with_single(name):
    encoder = build(name).eval()
    x = walk(2, 13, 20)
    with torch.no_grad():
        single, double = encoder(x), copy.deepcopy(encoder).double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=1e-4)


def test_bf16_is_near_and_trains(name):
    encoder = build(name).eval()
    x = walk(4, 16, 20)
    with torch.no_grad():
        exact = encoder(x)
        with torch.autocast('cpu', torch.bfloat16):
            rough = encoder(x).float()
    assert (rough - exact).norm() / exact.norm() < 0.1
    encoder.train()
    with torch.autocast('cpu', torch.bfloat16):
        out = encoder(x)
    out.float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in encoder.parameters())


def test_joints_of_another_layout_are_named(name):
    encoder = build(name, 'ntu25')
    if name == EXAMPLE:
        return
    with pytest.raises(ConfigError, match=r"20 joints of 3 coordinates.*'ntu25' with 25"):
        encoder(walk(1, 8, 20))
    with pytest.raises(ConfigError, match='25 joints of 2 coordinates'):
        encoder(torch.zeros(1, 2, 8, 25))


@pytest.mark.parametrize('change, says', [
    (dict(strided_units=[3]), r'strided_units \[3\] do not exist; units are numbered from 1 to 2'),
    (dict(channels=[]), r'channels is \[\]')])
def test_arguments_that_cannot_be_are_named(name, change, says):
    if name == EXAMPLE:
        return
    with pytest.raises(ConfigError, match=f'^{name}: {says}'):
        MODELS.build(dict(tiny(name), **change))


@pytest.mark.parametrize('kind, channels, says', [
    ('STGCNPP', [5], '6 or more'), ('CTRGCN', [3], '4 or more'), ('BiGRU', [9], r'\[9\], expected even'),
    ('SkeletonTransformer', [16, 24], r'\[24\], expected multiples of head_channels, which is 16')])
def test_widths_that_a_backbone_cannot_have(kind, channels, says):
    with pytest.raises(ConfigError, match=says):
        MODELS.build(dict(type=kind, layout='ntu25', channels=channels, strided_units=[]))


def test_weights_are_drawn_from_seed_and_stream_alone(name):
    def drawn(stream, moved):
        torch.manual_seed(5)
        model = Recognizer(LAYOUT, backbone=tiny(name), head=None, stream=stream)
        if moved:
            stir(model.backbone)
            torch.manual_seed(5)
        model.init_weights()
        return dict(model.backbone.named_parameters())

    fresh, again, other = drawn('joint', False), drawn('joint', True), drawn('bone', True)
    assert all(torch.equal(fresh[key], again[key]) for key in fresh)
    assert not all(torch.equal(fresh[key], other[key]) for key in fresh)


MASKS = [[[1, 0], [1, 0], [1, 1], [0, 1]], [[0, 0], [0, 0], [0, 0], [0, 0]], [[1, 1], [1, 1], [1, 1], [1, 1]]]


@pytest.mark.parametrize('mask', MASKS, ids=['some', 'nobody', 'all'])
@pytest.mark.parametrize('skip_absent', [False, True])
def test_absent_persons(name, mask, skip_absent):
    mask = torch.tensor(mask, dtype=torch.bool)
    x = walk(8, 10, 20).permute(0, 2, 3, 1).reshape(4, 2, 10, 20, 3) * mask[:, :, None, None, None]
    model = Recognizer(LAYOUT, backbone=tiny(name), head=None, skip_absent=skip_absent)
    stir(model.backbone)
    model.eval()
    computed = []
    model.backbone.register_forward_pre_hook(lambda module, args: computed.append(len(args[0])))
    with torch.no_grad():
        feature = model.extract(x, mask)['backbone']
        maps = model.backbone(fold_persons(x, mask, False)[0])
    pooled = maps.mean((2, 3)).view(4, 2, -1)
    # a sequence without anybody keeps its first person, who is all zero
    counted = mask | (~mask.any(1, keepdim=True) & torch.tensor([True, False])) if skip_absent else mask | True
    expected = (pooled * counted[..., None]).sum(1) / counted.sum(1, keepdim=True)
    torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-4)
    assert computed[0] <= (int(counted.sum()) if skip_absent else int(mask.sum()) + 1)


def test_an_encoder_in_training_mode_takes_absent_persons(name):
    mask = torch.tensor([[True, False], [True, True], [True, False]])
    x = walk(6, 10, 20).permute(0, 2, 3, 1).reshape(3, 2, 10, 20, 3) * mask[:, :, None, None, None]
    model = Recognizer(LAYOUT, backbone=tiny(name, dropout=0.), head=None)
    stir(model.backbone)
    plain = copy.deepcopy(model.backbone).train()
    found, rows = model.train().encode(model.backbone, x, mask)
    torch.testing.assert_close(found, plain(fold_persons(x, mask, False)[0]), atol=1e-4, rtol=1e-4)
    for (key, own), other in zip(model.backbone.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(own, other, msg=key)


@pytest.mark.parametrize('persons', [1, 2])
def test_classifiers_of_sequences_and_frames_follow_the_width(name, persons):
    mask = torch.ones(3, persons, dtype=torch.bool)
    x = walk(3 * persons, 12, 20).permute(0, 2, 3, 1).reshape(3, persons, 12, 20, 3)
    for kind, label in ((Recognizer, torch.arange(3)), (Segmentor, torch.arange(36).view(3, 12) % 4)):
        model = kind(LAYOUT, backbone=tiny(name), head=dict(type='ClassificationHead', num_classes=4))
        model.init_weights()
        batch = dict(inputs={'joint': {'view': x}}, masks={'view': mask}, label=label, index=torch.arange(3))
        loss, = (value for _, value in model.losses(batch))
        loss.backward()
        assert torch.isfinite(loss) and model.head.fc.weight.grad.abs().sum() > 0
        assert any(parameter.grad.abs().sum() > 0 for parameter in model.backbone.parameters())
        found = model.eval().extract(x, mask)
        assert found['backbone'].shape[1] == model.head.in_channels
    assert found['frame_score'].shape == (3, 12, 4)


def test_actionlets(name):
    model = ActCLR(
        actionlet_head=dict(type='ActionletHead'), mining_loss=dict(type='SimilarityMiningLoss'), num_frames=12,
        layout=LAYOUT, backbone=tiny(name), projector=dict(type='ProjectionMLP', out_channels=4),
        memory=dict(size=8, dim=4), loss=dict(type='InfoNCELoss'))
    stir(model)
    model.set_anchor(walk(2, 12, 20, seed=4).permute(0, 2, 3, 1))
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    x = walk(6, 12, 20).permute(0, 2, 3, 1).reshape(3, 2, 12, 20, 3) * mask[:, :, None, None, None]
    found = model.actionlet(x, mask)
    assert found.shape == (3, 2, cells_of(model.backbone, 12), 20)
    assert torch.isfinite(found).all() and (found >= 0).all() and (found[~mask] == 0).all() and found.sum() > 0
