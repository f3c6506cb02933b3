"""The release preset: three loss terms, the anchor of the batch, averaged keys, mixed targets."""
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError
from mmactclr.models.data_preprocessor import Mix
from mmactclr.models.heads import semantic_aware_pooling
from mmactclr.registry import MODELS
from mmactclr.transforms import to_stream
from mmactclr.utils import load_config

RELEASE, THREE = 'actclr-release_joint_ntu60_xview', 'actclr-release_3s_ntu60_xview'
PAPER = 'actclr_joint_ntu60_xview'
NAMES = ['loss_mining_normal', 'loss_mining_styled', 'loss_mining_mix']


@pytest.fixture
def make(tiny_options):
    """Builds a tiny model with a memory, in the first epoch of its stage two."""

    def make(config=RELEASE, **more):
        options = tiny_options('nowhere', config, **{f'model.{name}': value for name, value in more.items()})
        torch.manual_seed(0)
        model = MODELS.build(load_config(config, options).model)
        model.init_weights()
        generator = torch.Generator().manual_seed(4)
        for branch in model.branches().values():
            branch.memory.enqueue(F.normalize(torch.randn(11, 4, generator=generator), dim=1))
        model.set_progress(0, 1, 5, 0)
        return model

    return make


def make_batch(n: int = 6) -> dict:
    generator = torch.Generator().manual_seed(2)
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    joints = torch.randn(n, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
        n, 2, 16, 20, 3, generator=generator).cumsum(2)
    return dict(inputs=joints * mask[:, :, None, None, None], mask=mask, index=torch.arange(n))


def augmented(model, batch=None):
    return model.training_views(batch or make_batch())


def test_presets_differ_in_constants_and_switches_alone():
    """The same components are built from both; only what they are given differs."""
    def components(node):
        if isinstance(node, dict):
            here = {node['type']} if 'type' in node else set()
            return here.union(*(components(value) for key, value in node.items() if key != 'views'))
        return set().union(*map(components, node)) if isinstance(node, (list, tuple)) else set()

    paper, release = load_config(PAPER), load_config(RELEASE)
    assert components(paper.model) == components(release.model)
    assert components(paper.custom_hooks) == components(release.custom_hooks)
    assert paper.custom_hooks == release.custom_hooks
    assert set(paper.model) == set(release.model)


def test_one_term_for_each_pair_of_views(make):
    model = make()
    views = augmented(model)
    assert set(views['inputs']['joint']) == {'normal', 'strong', 'styled', 'styled_mix', 'mix', 'key'}
    assert [name for name, _ in model.loss_terms(views['inputs'], views['masks'], views['mixes'])] == NAMES
    outputs = make().train_step(make_batch(), _Optimiser(model))
    assert set(NAMES) <= set(outputs)
    assert outputs['kl'].item() > 0 and 0 <= outputs['mask_mean'].item() <= 1
    # the information bound is a mean over terms, the divergence their sum
    expected = torch.tensor(11.0).log() - outputs['kl'] / 3
    assert outputs['mi_bound'].item() == pytest.approx(expected.item(), abs=1e-4)


class _Optimiser:
    """Just enough of an OptimWrapper to run the backward passes."""

    def __init__(self, model):
        self.model = model

    def optim_context(self, _):
        return torch.autograd.set_grad_enabled(True)

    def scale_loss(self, loss):
        return loss

    def backward(self, loss):
        loss.backward()

    def should_update(self):
        return False


def test_terms_are_the_formulas_of_the_description(make):
    """Term 1 is d2 inside A and d1 outside, term 2 styled d3 and its mix, term 3 the mixed d3 against a mixed key."""
    model = make(**{'backbone.dropout': 0.0})
    views = augmented(model)
    inputs, masks, mixes = views['inputs']['joint'], views['masks'], views['mixes']
    assert torch.equal(masks['styled'], masks['mix'])
    head, still = model.actionlet_head, deepcopy(model).eval()
    anchor = inputs['key'].mean(0, keepdim=True)
    with torch.no_grad():
        h, rows = still.encode(still.backbone_k, anchor, anchor.flatten(2).any(2))
        z_anchor = still.projector_k(rows.mean(h.mean((2, 3))))
        key = deepcopy(model)
        h, rows = key.encode(key.backbone_k, inputs['key'], masks['key'])
        a = head.select(head(h, rows, key.projector_k, z_anchor))
        safp = key.projector_k(rows.mean(semantic_aware_pooling(h, a), present_only=True))
        mean = key.projector_k(rows.mean(h.mean((2, 3))))
        z_k = F.normalize((F.normalize(safp, dim=1) + F.normalize(mean, dim=1)) / 2, dim=1)

        def region(view):
            h, rows = still.encode(still.backbone, inputs[view], masks[view])
            chosen = head.select(head(h, rows, still.projector, z_anchor))
            return rows.unfold(F.interpolate(chosen[:, None], (16, 20), mode='bilinear', align_corners=True)[:, 0])

        normal, styled = region('normal'), region('styled')
        queries = [normal[..., None] * inputs['normal'] + (1 - normal[..., None]) * inputs['strong'],
                   styled[..., None] * inputs['styled'] + (1 - styled[..., None]) * inputs['styled_mix'],
                   inputs['mix']]
        targets = [z_k, z_k, torch.zeros_like(z_k)]
        for i in range(6):
            inside = total = 0.0
            for m in masks['styled'][i].nonzero()[:, 0].tolist():
                weight = (styled[i, m].double() / 0.1).exp()
                total += weight.sum()
                inside += (weight * (1 - mixes['mix'].own[i, m])).sum()
            p = (inside / total).float()
            targets[2][i] = F.normalize((1 - p) * z_k[i] + p * z_k[mixes['mix'].partner[i]], dim=0)
    memory = model.memory.valid()
    expected = []
    for query, target in zip(queries, targets, strict=True):
        fresh = deepcopy(model)
        h, rows = fresh.encode(fresh.backbone, query, masks['normal'])
        z_q = F.normalize(fresh.projector(rows.mean(h.mean((2, 3)))), dim=1)
        teacher = target @ memory.t()
        teacher = torch.where(teacher > 0.95, -1.0, teacher)
        p_k = (teacher / 0.04).softmax(1)
        p_q = ((z_q @ memory.t()).square() / 0.1).log_softmax(1)
        expected.append(-(p_k * p_q).sum(1).mean().item())
    terms = dict(model.loss_terms(views['inputs'], views['masks'], views['mixes']))
    assert [terms[name].item() for name in NAMES] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    torch.testing.assert_close(model.pending_keys, z_k, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('own, expected', [(1.0, 0.0), (0.0, 1.0), (0.3, 0.7)])
def test_a_mixed_target_moves_from_the_own_key_to_the_partners(make, own, expected):
    model = make()
    z_k = F.normalize(torch.randn(4, 4), dim=1)
    partner = torch.tensor([1, 2, 3, 0])
    mask, region = torch.ones(4, 1, dtype=torch.bool), torch.rand(4, 1, 16, 20)
    target = model.mixed_target(z_k, region, mask, Mix(torch.full((4, 1, 16, 20), own), partner))
    torch.testing.assert_close(target, F.normalize((1 - expected) * z_k + expected * z_k[partner], dim=1))


def test_a_target_follows_the_actionlet_not_the_area(make):
    """A small pasted region that holds all of the actionlet makes the target nearly the partner's key."""
    model, z_k = make(), F.normalize(torch.randn(2, 4), dim=1)
    own, region = torch.ones(2, 1, 16, 20), torch.zeros(2, 1, 16, 20)
    own[:, :, :4, :2], region[:, :, :4, :2] = 0.0, 1.0
    mix, mask = Mix(own, torch.tensor([1, 0])), torch.ones(2, 1, dtype=torch.bool)
    towards = (model.mixed_target(z_k, region, mask, mix) * z_k.flip(0)).sum(1)
    away = (model.mixed_target(z_k, 1 - region, mask, mix) * z_k).sum(1)
    assert (towards > 0.99).all() and (away > 0.99).all()


def test_a_sequence_of_nobody_has_its_own_target(make):
    model, z_k = make(), F.normalize(torch.randn(2, 4), dim=1)
    mask = torch.tensor([[True], [False]])
    mix = Mix(torch.zeros(2, 1, 16, 20), torch.tensor([1, 0]))
    torch.testing.assert_close(model.mixed_target(z_k, torch.rand(2, 1, 16, 20), mask, mix)[1], z_k[1])


@pytest.mark.parametrize('stream', ['joint', 'motion', 'bone'])
def test_the_anchor_of_the_batch_is_the_mean_of_its_keys(make, stream):
    model = make(**{'stream': stream, 'data_preprocessor.streams': [stream], 'backbone.dropout': 0.0})
    keys = augmented(model)['inputs'][stream]['key']
    still = deepcopy(model).eval()
    mean = torch.stack(list(keys)).mean(0, keepdim=True)
    h, rows = still.encode(still.backbone_k, mean, mean.flatten(2).any(2))
    torch.testing.assert_close(model.anchor_projection(keys), still.projector_k(rows.mean(h.mean((2, 3)))))
    batch = make_batch()
    x = to_stream(batch['inputs'], stream, model.layout)
    raw, rows = model.online_actionlet(x, batch['mask'], model.anchor_projection(x))
    torch.testing.assert_close(model.actionlet(batch['inputs'], batch['mask']), rows.unfold(raw))


def test_an_anchor_that_follows_the_keys(make):
    model = make(anchor='ema')
    means = []
    for step in range(3):
        model.set_progress(0, step > 0, step, 0)
        views = augmented(model)
        dict(model.loss_terms(views['inputs'], views['masks'], views['mixes']))
        means.append(views['inputs']['joint']['key'].mean(0))
        model.pending_keys, model.momentum_due = None, False
        model.follow_anchor(0.9)
    expected = 0.9 * (0.9 * means[0] + 0.1 * means[1]) + 0.1 * means[2]
    torch.testing.assert_close(model.anchor, expected)
    assert bool(model.anchor_ready)
    model.follow_anchor(0.5)
    torch.testing.assert_close(model.anchor, expected)


def test_a_forgotten_anchor_hook_is_named(make):
    model = make(anchor='ema')
    views = augmented(model)
    dict(model.loss_terms(views['inputs'], views['masks'], views['mixes']))
    model.pending_keys, model.momentum_due = None, False
    model.set_progress(0, 1, 6, 0)
    with pytest.raises(ConfigError, match='StaticAnchorHook is missing'):
        dict(model.loss_terms(views['inputs'], views['masks'], views['mixes']))


@pytest.mark.parametrize('change, message', [
    (dict(terms=[]), 'terms is empty'),
    (dict(terms=[dict(inside='act')]), r"terms.0 has the keys \['inside'\]"),
    (dict(terms=[dict(mixed='mix', weighted_by='styled')]), "weighted_by is 'styled'"),
    (dict(anchor='mean'), "anchor is 'mean'"), (dict(key_pooling='max'), "key_pooling is 'max'"),
    (dict(mix_temperature=0), 'mix_temperature is 0')])
def test_switches_that_make_no_sense_are_named(make, change, message):
    with pytest.raises(ConfigError, match=message):
        make(**change)


def test_views_weaken_with_the_epoch_of_the_stage(make):
    """From epoch 300 of the stage on a weak view is the sequence itself; how long stage one was does not matter."""
    model, batch = make(stage_epochs=(50, 350)), make_batch()
    for epoch, same in ((349, False), (350, True)):
        model.set_progress(0, epoch, 0, 0)
        views = augmented(model)['inputs']['joint']
        for view in ('key', 'normal', 'strong'):
            assert torch.equal(views[view], batch['inputs']) == same, (epoch, view)
        assert not torch.equal(views['mix'], batch['inputs'])


def test_streams_share_what_is_mixed(make):
    model = make(THREE)
    views = augmented(model)
    assert set(views['mixes']) == {'mix', 'styled_mix'}
    mix, joint, bone = views['mixes']['mix'], *(views['inputs'][s] for s in ('joint', 'bone'))
    # where nothing was pasted the bones of the mixed joints are those of the mixed bones
    layout = model.branches()['bone'].layout
    parents = list(layout.parents)
    whole = (mix.own == 1) & (mix.own[..., parents] == 1) & views['masks']['mix'][:, :, None, None]
    assert whole.float().mean() > 0.2
    torch.testing.assert_close(to_stream(joint['mix'], 'bone', layout)[whole], bone['mix'][whole])
    # a person whom the partner lacks is the own one
    lacks = ~views['masks']['mix'][mix.partner]
    assert lacks.any() and (mix.own[lacks] == 1).all()
    outputs = model.train_step(make_batch(), _Optimiser(model))
    assert {f'{stream}.{name}' for stream in ('joint', 'motion', 'bone') for name in NAMES} <= set(outputs)


def test_the_preset_has_the_constants_of_the_description():
    cfg = load_config(RELEASE)
    model, views = cfg.model, cfg.model.data_preprocessor.views

    def phases(steps):
        """(start, number of transforms that apply) of every phase of the last curriculum."""
        return [(phase.start, phase.get('count', len(phase.transforms))) for phase in steps[-1].phases]

    weak = [(0, 2), (300, 0)]
    assert phases(views.key.joints) == phases(views.styled.joints) == weak
    assert phases(views.normal.joints[:1]) == phases(views.strong.joints[:1]) == weak
    assert phases(views.normal.joints) == [(0, 5), (100, 3), (200, 1), (300, 0)]
    assert phases(views.strong.joints) == [(0, 7), (100, 5), (200, 3), (300, 0)]
    normal, strong = ({step.type: step for step in views[name].joints[-1].phases[0].transforms}
                      for name in ('normal', 'strong'))
    assert set(strong) - set(normal) == {'TimeInterpolate', 'BoneRescale'}
    assert normal['GaussianNoise'].std == 0.01 and strong['GaussianNoise'].std == 0.05
    assert normal['GaussianBlur'].normalise is strong['GaussianBlur'].normalise is False
    assert views.styled.stream == [dict(type='SkeletonAdaIN')] and views.mix.stream == [dict(type='SkeletonMix')]
    assert views.styled_mix.base == views.mix.base == 'styled'
    late = views.styled_mix.stream[-1].phases[1]
    assert late.start == 200 and late.transforms[0].parts == (1, 2) and late.transforms[0].cells == (1, 3)
    assert model.terms == [dict(inside='normal', outside='strong'), dict(inside='styled', outside='styled_mix'),
                           dict(mixed='mix', weighted_by='styled')]
    assert (model.anchor, model.key_pooling, model.memory.size) == ('batch', 'mean', 65536)
    loss = {key: value for key, value in model.mining_loss.items() if key != 'type'}
    assert loss == dict(tau_q=0.1, tau_k=0.04, squared=True, ceiling=0.95, top_k=8192)
    head = {key: value for key, value in model.actionlet_head.items() if key != 'type'}
    assert head == dict(selection='saturate', smoothing='part', signed=True, channels='mean', pooling='selection')
    assert (model.backbone.init_std, model.projector.init_std) == (0.02, 0.02)
    assert (len(model.backbone.channels), model.backbone.strided_units) == (10, [5, 8])
    assert model.stage_epochs == (0, 350) and cfg.train_cfg.max_epochs == 350
    assert cfg.param_scheduler.milestones == [250] and cfg.optim_wrapper.optimizer.lr == 0.1


def test_the_bound_counts_the_keys_that_are_compared(make):
    model = make(**{'mining_loss.top_k': 4})
    assert model.log_candidates(model.memory.valid()).item() == pytest.approx(torch.tensor(4.0).log().item())
    assert make().log_candidates(model.memory.valid()).item() == pytest.approx(torch.tensor(11.0).log().item())
