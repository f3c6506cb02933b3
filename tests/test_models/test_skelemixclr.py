"""SkeleMixCLR against float64 loops written from its description."""
import math
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmactclr.errors import ConfigError
from mmactclr.models.losses import InfoNCELoss, info_nce
from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout, list_layouts
from mmactclr.transforms import cyclic_partner, draw_block, paste_block
from mmactclr.utils import load_config
from tests.test_models.tiny_methods import build, in_double, make_batch

CONFIG, THREE = 'skelemixclr_joint_ntu60_xsub', 'skelemixclr_3s_ntu60_xsub'
PLUS, SMALL = 'skelemixclr-plus_joint_ntu60_xsub', 'skelemixclr_joint_utdmhad_xsub'
STREAMS = ('joint', 'motion', 'bone')
TAU = 0.2


@pytest.fixture
def make(tiny_options):
    """Builds a tiny model (T' = 8 cells of 2 frames) with a memory."""

    def make(config=CONFIG, keys=11, iteration=5, **more):
        branch = 'model.branch' if '_3s_' in config else 'model'
        options = {f'{branch}.cells': (3, 5), **{f'model.{name}': value for name, value in more.items()}}
        model = build(config, {**tiny_options('nowhere', config), **options}, keys)
        model.set_progress(0, 0, iteration, 0)
        return model

    return make


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# block and partner

@pytest.mark.parametrize('name', list_layouts())
def test_a_block_is_whole_body_parts_over_a_run_of_cells(name):
    layout, seen = get_layout(name), set()
    for seed in range(200):
        block = draw_block(layout, 13, (2, 3), (6, 9), generator_of(seed))
        assert block.shape == (13, layout.num_joints) and block.dtype == torch.bool
        cells, joints = block.any(1).nonzero()[:, 0].tolist(), set(block.any(0).nonzero()[:, 0].tolist())
        assert cells == list(range(cells[0], cells[-1] + 1)) and int(block.sum()) == len(cells) * len(joints)
        inside = [part for part, members in layout.parts.items() if set(members) <= joints]
        assert joints == {joint for part in inside for joint in layout.parts[part]}
        seen.add((len(inside), len(cells), cells[0], *inside))
    assert {entry[0] for entry in seen} == {2, 3}
    assert {entry[1] for entry in seen} == {6, 7, 8, 9}
    # from the first cell to the last one: 13 - 6 places and the place 0
    assert {entry[2] for entry in seen} == set(range(8))
    assert {part for entry in seen for part in entry[3:]} == set(layout.part_names)


def test_parts_without_joints_are_never_drawn_and_something_remains():
    layout = Layout.from_edges('upper', ['neck', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'],
                               [(0, 1), (0, 2), (1, 3), (2, 4)])
    two = SimpleNamespace(num_joints=5, parts={'trunk': (0, 3), 'right_arm': (), 'left_arm': (1, 2, 4),
                                               'right_leg': (), 'left_leg': ()})
    for seed in range(30):
        for source in (layout, two):
            block = draw_block(source, 3, (2, 3), (6, 9), generator_of(seed))
            assert block.any(0).any() and not block.all() and block.any(1).all()


def test_partners_are_one_roll_by_one_to_n_minus_two():
    seen = {tuple(cyclic_partner(6, generator_of(seed)).tolist()) for seed in range(100)}
    assert seen == {tuple((i + n) % 6 for i in range(6)) for n in (1, 2, 3, 4)}
    assert cyclic_partner(3).tolist() == [1, 2, 0]
    assert cyclic_partner(2).tolist() == [1, 0] and cyclic_partner(1).tolist() == [0]


def test_pasting_is_frame_by_frame_up_to_a_shorter_last_cell():
    x, other = torch.randn(2, 2, 50, 20, 3), torch.randn(2, 2, 50, 20, 3)
    block = torch.rand(13, 20) < 0.5
    mixed = paste_block(x, other, block, 4)
    for t in range(50):
        for v in range(20):
            source = other if block[t // 4, v] else x
            assert torch.equal(mixed[:, :, t, v], source[:, :, t, v])


# the loss with one more negative

def test_another_negative_against_plain_loops():
    generator = generator_of(3)
    z, z_k, negative, memory = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (5, 5, 5, 9))
    memory = F.normalize(memory, dim=1)
    z.requires_grad_(True)
    negative.requires_grad_(True)
    expected = 0.0
    for i in range(5):
        q = (z[i] / z[i].norm()).tolist()
        columns = [z_k[i] / z_k[i].norm(), *memory, negative[i].detach() / negative[i].detach().norm()]
        scores = [math.exp(sum(a * b for a, b in zip(q, column.tolist(), strict=True)) / TAU) for column in columns]
        expected -= math.log(scores[0] / sum(scores)) / 5
    for loss in (info_nce(z, z_k, memory, TAU, negative), InfoNCELoss(TAU)(z, z_k, memory, negative=negative)):
        assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert z.grad.abs().sum() > 0 and negative.grad is None


# the method

def find_block(model, x, mixed) -> tuple[torch.Tensor, int]:
    """Block (T, V) of a mixed query and the roll of its partners, from where it differs from the query.

    Whole parts and cells of two frames: the centre joint is zero in bones, the last frame in motion.
    """
    changed = (mixed != x).any(4).any(1).any(0)
    cells = changed.any(1).view(-1, 2).any(1).repeat_interleave(2)
    joints = torch.zeros(x.shape[3], dtype=torch.bool)
    for members in map(list, model.layout.parts.values()):
        joints[members] = changed.any(0)[members].any()
    changed = cells[:, None] & joints
    for roll in range(1, len(x)):
        if torch.equal(torch.where(changed[:, :, None], x.roll(-roll, 0), x), mixed):
            return changed, roll
    raise AssertionError('no roll explains the mixed query')


def watch_encoder(model) -> list[torch.Tensor]:
    """Inputs of the online encoder, (N, M, T, V, C), in the order of its passes."""
    passes: list[torch.Tensor] = []
    encode = model.encode_distinct

    def recorded(backbone, x, mask):
        if backbone is model.backbone:
            passes.append(x.detach().clone())
        return encode(backbone, x, mask)

    model.encode_distinct = recorded
    return passes


def written_out(model, views, mixes):
    """L_ins, [(L_p, L_c), ...] of a model of two persons a sequence in float64; ``mixes`` holds (frames, roll)."""
    backbone, projector, backbone_k, projector_k = (
        deepcopy(module).double() for module in (model.backbone, model.projector, model.backbone_k, model.projector_k))
    memory = model.memory.keys[:int(model.memory.filled)].double()

    def features(encoder, x):
        return encoder(x.double().permute(0, 1, 4, 2, 3).flatten(0, 1))

    def of_persons(pooled):
        return pooled.view(-1, 2, pooled.shape[1]).mean(1)

    def contrast(z, positives, negatives=None):
        loss = 0.0
        for i, one in enumerate(z):
            scores = [one @ positives[i], *(one @ m for m in memory)]
            if negatives is not None:
                scores.append(one @ negatives[i].detach())
            scores = torch.stack(scores) / TAU
            loss = loss - (scores[0] - scores.exp().sum().log()) / len(z)
        return loss

    z_q = F.normalize(projector(of_persons(features(backbone, views['query']).mean((2, 3)))), dim=1)
    z_k = F.normalize(projector_k(of_persons(features(backbone_k, views['key']).mean((2, 3)))), dim=1).detach()
    regions = []
    for frames, roll in mixes:
        partner = [(i + roll) % len(z_k) for i in range(len(z_k))]
        x = views['query']
        h = features(backbone, torch.where(frames[:, :, None], x[partner], x))
        grid = [(t, v) for t in range(h.shape[2]) for v in range(h.shape[3])]
        inside = [(t, v) for t, v in grid if frames[t * (frames.shape[0] // h.shape[2]), v]]
        outside = [place for place in grid if place not in set(inside)]
        z_p, z_c = (F.normalize(projector(of_persons(sum(h[:, :, t, v] for t, v in places) / len(places))), dim=1)
                    for places in (inside, outside))
        regions.append((contrast(z_p, z_k[partner], z_c), contrast(z_c, z_k, z_p)))
    return contrast(z_q, z_k), regions, (backbone, projector), z_k


@pytest.mark.parametrize('stream', STREAMS)
@pytest.mark.parametrize('config', [CONFIG, PLUS])
def test_losses_and_gradients_are_those_of_the_description(make, config, stream):
    model = make(config, **{'backbone.dropout': 0.0, 'stream': stream, 'data_preprocessor.streams': [stream]})
    batch = model.training_views(make_batch())
    model = in_double(model)
    start = deepcopy(model)
    views, passes = batch['inputs'][stream], watch_encoder(model)
    terms = dict(model.loss_terms(batch['inputs'], batch['masks']))
    assert torch.equal(passes[0], views['query'])
    mixes = [find_block(model, views['query'], mixed) for mixed in passes[1:]]
    assert len(mixes) == (3 if config == PLUS else 1)
    # each mixed query has a block and a partner of its own
    assert len({(frames.numpy().tobytes(), roll) for frames, roll in mixes}) == len(mixes)

    instance, regions, modules, z_k = written_out(start, views, mixes)
    names = ['loss_mix'] if config == CONFIG else ['loss_mix_1', 'loss_mix_2', 'loss_mix_3']
    assert list(terms) == ['loss_nce', *names]
    assert terms['loss_nce'].item() == pytest.approx(instance.item(), rel=1e-9)
    for name, (pasted, rest) in zip(names, regions, strict=True):
        assert terms[name].item() == pytest.approx(0.5 * pasted.item() + 0.5 * rest.item(), rel=1e-9)
    for scalar, number in (('nce_pasted', 0), ('nce_rest', 1)):
        mean = sum(region[number].item() for region in regions) / len(regions)
        assert model.log_scalars[scalar].item() == pytest.approx(mean, rel=1e-9)
    torch.testing.assert_close(model.pending_keys, z_k)

    sum(terms.values()).backward()
    (instance + sum(0.5 * (pasted + rest) for pasted, rest in regions)).backward()
    for ours, reference in zip((model.backbone, model.projector), modules, strict=True):
        for (name, parameter), other in zip(ours.named_parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, other.grad, atol=1e-9, rtol=1e-6, msg=name)
    assert all(p.grad is None for p in [*model.backbone_k.parameters(), *model.projector_k.parameters()])


def test_a_block_lies_on_the_grid_of_the_encoder(make):
    """Cells of 2 frames at this size: begin and end are even, 3 to 5 cells, 2 or 3 parts of these joints."""
    lengths, counts = set(), set()
    model, batch = make(), make_batch()
    passes, x = watch_encoder(model), batch['inputs']
    for iteration in range(30):
        model.set_progress(0, 0, iteration, 0)
        dict(model.loss_terms(dict(joint=dict(query=x, key=x)), dict(query=batch['mask'], key=batch['mask'])))
        model.pending_keys, model.momentum_due = None, False
        changed = (passes[-1] != x).any(4).any(1).any(0)
        where = changed.any(1).nonzero()[:, 0]
        assert where[0] % 2 == 0 and len(where) % 2 == 0 and where[-1] - where[0] + 1 == len(where)
        lengths.add(len(where) // 2)
        joints = set(changed.any(0).nonzero()[:, 0].tolist())
        assert int(changed.sum()) == len(where) * len(joints)
        counts.add(sum(set(members) <= joints for members in model.layout.parts.values()))
    assert lengths == {3, 4, 5} and counts == {2, 3}


def test_a_mixed_query_is_a_function_of_seed_step_and_rank(make):
    def mixed(*progress):
        model = make()
        model.set_progress(*progress)
        batch = make_batch()
        passes = watch_encoder(model)
        torch.rand(3)
        dict(model.loss_terms(dict(joint=dict(query=batch['inputs'], key=batch['inputs'])),
                              dict(query=batch['mask'], key=batch['mask'])))
        return passes[1]

    first = mixed(0, 0, 5, 0)
    assert torch.equal(first, mixed(0, 0, 5, 0))
    assert not any(torch.equal(first, mixed(*other)) for other in ((1, 0, 5, 0), (0, 0, 6, 0), (0, 0, 5, 1)))


@pytest.mark.parametrize('skip_absent', [True, False])
def test_persons_are_pooled_as_the_keys_they_are_to_find(make, skip_absent):
    """Left out: the pasted region counts the persons of the partner, the rest one's own. Else all of them count."""
    model = make(skip_absent=skip_absent)
    own = torch.tensor([[True, False], [True, True], [True, False]])
    partner = torch.tensor([1, 2, 0])
    shown = own | own[partner]
    h, rows = model.encode(_Map(), torch.randn(3, 2, 16, 20, 3), shown)
    block = draw_block(model.layout, 8, (2, 3), (3, 5), generator_of(0))
    places = {True: block.nonzero().tolist(), False: (~block).nonzero().tolist()}
    for region, mask in ((block, own[partner]), (~block, own)):
        found = model.pool_region(h, rows, region, mask)
        inside = places[torch.equal(region, block)]
        for i in range(3):
            persons = []
            for row in (rows.owner == i).nonzero()[:, 0].tolist():
                if mask[i, rows.person[row]] or not skip_absent:
                    persons.append(sum(h[row, :, t, v] for t, v in inside) / len(inside))
            torch.testing.assert_close(found[i], sum(persons) / len(persons), atol=1e-5, rtol=1e-4)


class _Map(nn.Module):
    """A feature map that tells every cell apart."""

    def forward(self, x):
        return F.avg_pool2d(x, (2, 1))


def test_terms_may_be_taken_one_by_one(make):
    """Each has a graph of its own: backward passes one after the other give the gradient of the sum."""
    gradients = []
    for together in (True, False):
        model = make(PLUS)
        batch = model.training_views(make_batch())
        terms = model.loss_terms(batch['inputs'], batch['masks'])
        if together:
            sum(loss for _, loss in terms).backward()
        else:
            for _, loss in terms:
                loss.backward()
        gradients.append([p.grad.clone() for p in model.backbone.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_each_branch_of_three_streams_is_a_run_of_its_own(make):
    """The losses of the branches are those of single runs."""
    three = make(THREE)
    batch = three.training_views(make_batch())
    losses = dict(three.loss_terms(batch['inputs'], batch['masks'], batch['mixes']))
    for stream in STREAMS:
        single = make(**{'stream': stream, 'data_preprocessor.streams': [stream]})
        single.load_state_dict(three.branches()[stream].state_dict())
        batch = single.training_views(make_batch())
        for name, loss in single.loss_terms(batch['inputs'], batch['masks']):
            assert loss.item() == losses[f'{stream}.{name}'].item(), (stream, name)


def test_all_streams_mix_alike(make):
    model = make('skelemixclr-plus_3s_ntu60_xsub')
    batch, mixes = model.training_views(make_batch()), {}
    passes = {stream: watch_encoder(branch) for stream, branch in model.branches().items()}
    dict(model.loss_terms(batch['inputs'], batch['masks'], batch['mixes']))
    for stream, seen in passes.items():
        for mixed in seen[1:]:
            block, roll = find_block(model.branches()[stream], batch['inputs'][stream]['query'], mixed)
            mixes.setdefault(stream, []).append((block.tolist(), roll))
    assert len(mixes['joint']) == 3 and mixes['joint'] == mixes['motion'] == mixes['bone']


@pytest.mark.parametrize('skip_absent', [True, False])
def test_each_half_counts_the_persons_of_its_own_sequence(make, skip_absent):
    """Where absent persons are left out, an absent one changes neither half of a mix that it is not in."""
    model = in_double(make(skip_absent=skip_absent, **{'backbone.dropout': 0.0}))
    batch = make_batch()
    counted = []
    pool = model.pool_region

    def recorded(feature_map, rows, region, mask):
        counted.append((region, mask))
        return pool(feature_map, rows, region, mask)

    model.pool_region = recorded
    passes, x = watch_encoder(model), batch['inputs']
    dict(model.loss_terms(dict(joint=dict(query=x, key=x)), dict(query=batch['mask'], key=batch['mask'])))
    block, roll = find_block(model, x, passes[1])
    (pasted, of_partner), (rest, own) = counted
    cells = block[::2]
    assert torch.equal(pasted, cells) and torch.equal(rest, ~cells)
    assert torch.equal(of_partner, batch['mask'].roll(-roll, 0)) and torch.equal(own, batch['mask'])
    assert not torch.equal(of_partner, own)


@pytest.mark.parametrize('n', [2, 6])
@pytest.mark.parametrize('skip_absent', [True, False])
def test_a_batch_with_nobody_and_an_empty_memory_have_finite_losses(make, n, skip_absent):
    model, batch = make(keys=0, skip_absent=skip_absent), make_batch(n)
    batch['inputs'], batch['mask'] = torch.zeros_like(batch['inputs']), torch.zeros_like(batch['mask'])
    batch = model.training_views(batch)
    terms = dict(model.loss_terms(batch['inputs'], batch['masks']))
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) for value in [*terms.values(), *model.log_scalars.values()])
    assert all(torch.isfinite(p.grad).all() for p in model.backbone.parameters())


@pytest.mark.parametrize('change, message', [
    (dict(parts=(3, 2)), r'parts is \(3, 2\)'), (dict(parts=(2, 5)), 'fewer than the 5 body parts'),
    (dict(cells=(0, 2)), r'cells is \(0, 2\)'), (dict(repeat=0), 'repeat is 0')])
def test_what_cannot_be_is_named(make, change, message):
    with pytest.raises(ConfigError, match=message):
        make(**change)


@MODELS.register_module(force=True)
class Featureless(nn.Module):
    """An encoder that does not say how many frames a cell has."""

    def forward(self, x):
        """Every second frame as it is."""
        return x[:, :, ::2]


def test_an_encoder_without_cells_is_named():
    model = load_config(SMALL).model
    model.backbone = dict(type='Featureless')
    with pytest.raises(ConfigError, match='Featureless has no temporal_stride'):
        MODELS.build(model)


# projector and recipe

def test_the_projector_normalises_over_the_batch(make):
    model = make()
    first, norm, relu, last = model.projector.layers
    assert isinstance(norm, nn.BatchNorm1d) and isinstance(relu, nn.ReLU)
    x = torch.randn(5, 8)
    hidden = x @ first.weight.t() + first.bias
    hidden = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(model.projector(x), hidden.clamp(min=0) @ last.weight.t() + last.bias)
    assert [name for name, _ in model.projector.named_parameters()] == [
        'layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias', 'layers.3.weight', 'layers.3.bias']


def test_init_std_reaches_the_batch_norm():
    torch.manual_seed(0)
    projector = MODELS.build(dict(type='ProjectionMLP', hidden_channels=4096, init_std=0.02, batch_norm=True))
    projector.init_weights()
    weight = projector.layers[1].weight
    assert weight.mean().item() == pytest.approx(1, abs=2e-3) and weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert (projector.layers[1].bias == 0).all()


def test_the_configs_have_the_constants_of_the_description():
    cfg, plus = load_config(CONFIG), load_config(PLUS)
    model = cfg.model
    assert (model.loss.temperature, model.memory.size) == (TAU, 32768)
    assert (tuple(model.parts), model.region_weight, model.repeat) == ((2, 3), 0.5, 1)
    # the share of 7 to 11 of 16 cells
    assert tuple(model.cells) == (round(7 / 16 * 13), round(11 / 16 * 13))
    assert model.backbone.graph.strategy == 'inward_outward' and model.projector.batch_norm is True
    weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
    assert model.data_preprocessor.views == dict(query=dict(joints=weak), key=dict(joints=weak))
    assert cfg.train_cfg.max_epochs == 300 and cfg.param_scheduler.milestones == [300]
    assert cfg.optim_wrapper.optimizer.lr == 0.1 and cfg.optim_wrapper.get('clip_grad') is None
    assert plus.model.repeat == 3
    plus.model.repeat = 1
    assert plus.model == model and load_config('skelemixclr-plus_3s_ntu60_xsub').model.branch.repeat == 3


def test_the_small_recipe_differs_from_momentum_contrast_in_the_method_alone():
    ours, moco = (load_config(name) for name in (SMALL, 'moco_joint_utdmhad_xsub'))
    for field in ('backbone', 'memory', 'skip_absent', 'data_preprocessor'):
        assert ours.model[field] == moco.model[field], field
    for field in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader', 'custom_hooks'):
        assert ours[field] == moco[field], field
    assert ours.model.projector == dict(moco.model.projector, batch_norm=True) and ours.model.loss.temperature == TAU
    # 32 frames, three strides of two: 4 cells
    assert tuple(ours.model.cells) == (round(7 / 16 * 4), round(11 / 16 * 4))
