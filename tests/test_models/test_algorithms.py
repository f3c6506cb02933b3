"""MoCo, ActCLR and the three-stream model against the same steps written out by hand."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError
from mmactclr.models import MultiStream
from mmactclr.registry import MODELS
from mmactclr.transforms import to_stream
from mmactclr.utils import load_config

MOCO, ACTCLR, THREE = 'moco_joint_ntu60_xsub', 'actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'


def build(tiny_options, config=ACTCLR, seed=0, **more):
    """A tiny model of a config, initialised as a run with this seed would."""
    options = {f'model.{name}': value for name, value in more.items()}
    cfg = load_config(config, {**tiny_options('nowhere', config), **options})
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


@pytest.fixture
def make(tiny_options):
    """Builds a tiny model with memory and anchor, in the first epoch of its last stage."""

    def make(config=ACTCLR, **more):
        model = build(tiny_options, config, **more)
        generator = torch.Generator().manual_seed(4)
        for branch in model.branches().values():
            branch.memory.enqueue(F.normalize(torch.randn(11, 4, generator=generator), dim=1))
            if hasattr(branch, 'anchor'):
                branch.set_anchor(make_batch(8)['inputs'].mean(0))
        model.set_progress(0, 1, 5, 0)
        return model

    return make


def make_batch(n: int = 6, seed: int = 2) -> dict:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    joints = torch.randn(n, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
        n, 2, 16, 20, 3, generator=generator
    ).cumsum(2)
    return dict(inputs=joints * mask[:, :, None, None, None], mask=mask, index=torch.arange(n))


def rows_of(x):
    """(N, M, T, V, C) -> (N * M, C, T, V), persons fastest, by plain loops."""
    return torch.stack([person.permute(2, 0, 1) for sequence in x for person in sequence])


def pooled(feature_map, persons=2):
    """Mean over joints and cells, then over all persons of a sequence, absent ones included."""
    return feature_map.mean((2, 3)).view(-1, persons, feature_map.shape[1]).mean(1)


@pytest.mark.parametrize('stream', ['joint', 'motion', 'bone'])
def test_moco_is_info_nce_between_two_views_and_the_memory(make, stream):
    model = make(MOCO, **{'backbone.dropout': 0.0, 'stream': stream, 'data_preprocessor.streams': [stream]})
    batch = model.data_preprocessor(make_batch(), True, views=model.view_names())
    views = batch['inputs'][stream]
    backbone, projector, backbone_k, projector_k = map(
        lambda module: deepcopy(module).double(), (model.backbone, model.projector, model.backbone_k, model.projector_k)
    )
    z_q = F.normalize(projector(pooled(backbone(rows_of(views['query'].double())))), dim=1)
    z_k = F.normalize(projector_k(pooled(backbone_k(rows_of(views['key'].double())))), dim=1)
    memory = model.memory.keys[:11].double()
    expected = 0.0
    for q, k in zip(z_q, z_k, strict=True):
        positive = ((q * k).sum() / 0.07).exp()
        expected -= (positive / (positive + ((memory @ q) / 0.07).exp().sum())).log() / len(z_q)

    losses = model(**{name: batch[name] for name in ('inputs', 'masks')}, mode='loss')
    assert list(losses) == ['loss_nce']
    assert losses['loss_nce'].item() == pytest.approx(expected.item(), rel=1e-4)
    torch.testing.assert_close(model.pending_keys, z_k.float(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        model.log_scalars['mi_bound'].item(),
        torch.tensor(11.0).log().item() - losses['loss_nce'].item(),
    )
    torch.testing.assert_close(model.pending_keys.norm(dim=1), torch.ones(6))

    losses['loss_nce'].backward()
    expected.backward()
    for (name, ours), other in zip(model.backbone.named_parameters(), backbone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.double(), other.grad, atol=1e-4, rtol=2e-2, msg=name)
    assert all(p.grad is None for p in [*model.backbone_k.parameters(), *model.projector_k.parameters()])


def stage_two(model):
    views = model.data_preprocessor(make_batch(), True, views=model.view_names())
    return views['inputs'][model.stream], views['masks']


def actionlet_by_hand(feature_map, mask, projector, z_anchor, neighbourhood):
    """Eq. 4-5 by autograd through GAP and projector, one sequence at a time."""
    out = torch.zeros(*mask.shape, *feature_map.shape[2:])
    for i, h in enumerate(feature_map.detach().unflatten(0, mask.shape)):
        h = h.clone().requires_grad_(True)
        z = projector(h.mean((0, 2, 3))[None])[0]
        (delta,) = torch.autograd.grad(-F.cosine_similarity(z, z_anchor[0], dim=0), h)
        for m in mask[i].nonzero()[:, 0].tolist():
            alpha = delta[m].relu().mean((1, 2))
            out[i, m] = (alpha[:, None, None] * h[m].detach()).sum(0).relu() @ neighbourhood
    return out


def test_the_mixed_view_is_act_inside_the_actionlet_and_non_outside(make):
    model = make(ACTCLR)
    views, masks = stage_two(model)
    z_anchor = model.anchor_projection()
    mixed, mask, found = model.motion_adaptive_view(views, masks, z_anchor, 'act', 'non')

    still, projector = deepcopy(model.backbone).eval(), deepcopy(model.projector).eval()
    with torch.no_grad():
        feature_map = still(rows_of(views['act']))
    raw = actionlet_by_hand(feature_map, masks['act'], projector, z_anchor, model.actionlet_head.neighbourhood)
    region = torch.zeros(6, 2, 16, 20)
    for i in range(6):
        for m in range(2):
            chosen = (raw[i, m] > raw[i, m].mean()).float()
            region[i, m] = F.interpolate(chosen[None, None], size=(16, 20), mode='bilinear', align_corners=True)[0, 0]
    a = region[..., None]
    torch.testing.assert_close(mixed, a * views['act'] + (1 - a) * views['non'], atol=1e-5, rtol=1e-4)
    assert 0.05 < region[masks['act']].mean() < 0.95
    torch.testing.assert_close(found, region, atol=1e-5, rtol=1e-4)
    assert torch.equal(mask, masks['act']) and (mixed[~mask] == 0).all()
    assert not torch.allclose(mixed, views['act']) and not torch.allclose(mixed, views['non'])


def test_stage_two_mines_similarities_of_a_semantically_pooled_key(make):
    model = make(ACTCLR, **{'backbone.dropout': 0.0})
    views, masks = stage_two(model)
    z_anchor = model.anchor_projection()
    mixed, _, region = model.motion_adaptive_view(views, masks, z_anchor, 'act', 'non')
    projector, backbone_k, projector_k = map(deepcopy, (model.projector, model.backbone_k, model.projector_k))
    z_q = F.normalize(projector(pooled(deepcopy(model.backbone)(rows_of(mixed)))), dim=1).double()
    with torch.no_grad():
        feature_map = backbone_k(rows_of(views['key']))
    weight = actionlet_by_hand(feature_map, masks['key'], projector_k, z_anchor, model.actionlet_head.neighbourhood)
    keys = []
    for i, h in enumerate(feature_map.unflatten(0, (6, 2))):
        persons = [
            ((weight[i, m] / weight[i, m].sum()) * h[m]).sum((1, 2)) if weight[i, m].any() else h[m].mean((1, 2))
            for m in masks['key'][i].nonzero()[:, 0].tolist()
        ]
        keys.append(torch.stack(persons).mean(0))
    z_k = F.normalize(projector_k(torch.stack(keys)), dim=1).detach().double()
    memory = model.memory.valid().double()
    teacher = (z_k @ memory.t() / 0.04).softmax(1)
    expected = -(teacher * (z_q @ memory.t() / 0.1).log_softmax(1)).sum(1).mean()

    ((name, loss),) = model.loss_terms({'joint': views}, masks)
    assert name == 'loss_mining' and loss.item() == pytest.approx(expected.item(), rel=1e-3)
    torch.testing.assert_close(model.pending_keys.double(), z_k, atol=1e-4, rtol=1e-3)
    logged = {name: float(value) for name, value in model.log_scalars.items()}
    kl = loss.item() + torch.xlogy(teacher, teacher).sum(1).mean().item()
    assert logged['mi_bound'] == pytest.approx(torch.tensor(11.0).log().item() - kl, abs=1e-3)
    similarity = (z_k @ F.normalize(z_anchor, dim=1).double().t()).mean().item()
    assert logged['anchor_similarity'] == pytest.approx(similarity, abs=1e-4)
    assert logged['kl'] == pytest.approx(kl, abs=1e-3)
    assert logged['mask_mean'] == pytest.approx(region[masks['act']].mean().item(), rel=1e-4)
    loss.backward()
    for module in (model.backbone_k, model.projector_k):
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.backbone.parameters())


def test_looking_for_the_actionlet_leaves_no_trace(make):
    """Neither gradients, nor batch statistics, nor the mode of any module change."""
    model = make(ACTCLR)
    views, masks = stage_two(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.backbone.units[1].eval()
    modes = [module.training for module in model.modules()]
    model.motion_adaptive_view(views, masks, model.anchor_projection(), 'act', 'non')
    batch = make_batch()
    model.actionlet(batch['inputs'], batch['mask'])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_the_stage_is_a_function_of_the_epoch(make):
    model = make(ACTCLR, stage_epochs=(2, 3))
    seen = []
    for epoch in (0, 1, 2, 4, 1):
        model.set_progress(0, epoch, 0, 0)
        seen.append((model.stage, model.view_names()))
    one, two = (1, ('query', 'key')), (2, ('act', 'non', 'key'))
    assert seen == [one, one, two, two, one]
    shapes = {epoch: {k: v.shape for k, v in model.state_dict().items()} for epoch in (0, 4)}
    assert shapes[0] == shapes[4]


def test_momentum_update_is_the_formula(make):
    model = make(MOCO)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.rand_like(parameter))
    before = deepcopy(model)
    model.momentum_update(0.9)
    for name in ('backbone', 'projector'):
        online, old = getattr(before, name), getattr(before, f'{name}_k')
        for q, k, new in zip(
            online.parameters(),
            old.parameters(),
            getattr(model, f'{name}_k').parameters(),
            strict=True,
        ):
            torch.testing.assert_close(new.double(), 0.9 * k.double() + 0.1 * q.double(), atol=1e-6, rtol=1e-6)
        assert all(
            torch.equal(a, b) for a, b in zip(online.parameters(), getattr(model, name).parameters(), strict=True)
        )


@pytest.mark.parametrize('stream', ['joint', 'bone'])
def test_actionlets_of_absent_persons_are_zero(make, stream):
    model, batch = make(ACTCLR, stream=stream), make_batch()
    raw = model.actionlet(batch['inputs'], batch['mask'])
    assert raw.shape == (6, 2, 8, 20)
    assert (raw[~batch['mask']] == 0).all() and (raw >= 0).all()
    assert (raw[batch['mask']].flatten(1).amax(1) > 0).all()


def more_persons(batch: dict, persons: int) -> dict:
    inputs, mask = batch['inputs'], batch['mask']
    padded = inputs.new_zeros(len(inputs), persons, *inputs.shape[2:])
    padded[:, :2] = inputs
    return dict(batch, inputs=padded, mask=F.pad(mask, (0, persons - 2), value=False))


@pytest.mark.parametrize('skip_absent', [True, False])
def test_places_for_absent_persons_matter_only_where_they_are_averaged_in(make, skip_absent):
    model = make(ACTCLR, skip_absent=skip_absent).eval()
    two, five = make_batch(), more_persons(make_batch(), 5)
    a, b = (model.extract(batch['inputs'], batch['mask']) for batch in (two, five))
    for point in ('backbone', 'projection'):
        same = torch.allclose(a[point], b[point], atol=1e-5)
        assert same == skip_absent, point
    maps = [model.actionlet(batch['inputs'], batch['mask']) for batch in (two, five)]
    assert (maps[1][:, 2:] == 0).all()
    if skip_absent:
        torch.testing.assert_close(maps[0], maps[1][:, :2], atol=1e-6, rtol=1e-3)


def test_features_of_a_sequence_do_not_depend_on_its_company(make):
    model, batch = make(ACTCLR, skip_absent=True).eval(), make_batch()
    whole = model.extract(batch['inputs'], batch['mask'])
    for i in range(6):
        one = model.extract(batch['inputs'][i : i + 1], batch['mask'][i : i + 1])
        torch.testing.assert_close(one['backbone'][0], whole['backbone'][i], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole['projection'].norm(dim=1), torch.ones(6))


def test_a_sequence_of_nobody_gives_finite_features(make):
    model = make(ACTCLR, skip_absent=True)
    batch = make_batch()
    batch['inputs'][2], batch['mask'][2] = 0.0, False
    assert torch.isfinite(model.extract(batch['inputs'], batch['mask'])['projection']).all()
    views = model.data_preprocessor(batch, True, views=model.view_names())
    ((_, loss),) = model.loss_terms(views['inputs'], views['masks'])
    assert torch.isfinite(loss)


@pytest.mark.parametrize('skip_absent', [True, False])
def test_a_batch_of_nobody_has_a_finite_loss_and_no_actionlet(make, skip_absent):
    model, batch = make(ACTCLR, skip_absent=skip_absent), make_batch()
    batch['inputs'], batch['mask'] = torch.zeros_like(batch['inputs']), torch.zeros_like(batch['mask'])
    views = model.data_preprocessor(batch, True, views=model.view_names())
    ((_, loss),) = model.loss_terms(views['inputs'], views['masks'])
    assert torch.isfinite(loss) and 'mi_bound' in model.log_scalars
    assert all(torch.isfinite(value) for value in model.log_scalars.values())


@pytest.mark.parametrize('epoch', [0, 1])
def test_each_branch_of_three_streams_is_a_run_of_its_own(tiny_options, epoch):
    """Same initial weights and, step by step, same losses as single-stream runs of that seed."""
    streams = ('joint', 'motion', 'bone')
    # what was drawn before must not matter
    models = {'3s': build(tiny_options, THREE, seed=3)}
    models.update(
        {
            stream: build(
                tiny_options,
                ACTCLR,
                seed=3,
                stream=stream,
                **{'data_preprocessor.streams': [stream]},
            )
            for stream in streams
        }
    )
    anchor = make_batch(8)['inputs'].mean(0)
    optimizers = {
        name: torch.optim.SGD([p for p in m.parameters() if p.requires_grad], 0.1) for name, m in models.items()
    }
    for step in range(3):
        losses = {}
        for name, model in models.items():
            torch.rand(step + len(name))
            model.set_progress(3, epoch, step, 0)
            batch = model.data_preprocessor(make_batch(seed=step), True, views=model.view_names())
            for branch in model.branches().values():
                branch.set_anchor(anchor)
            terms = dict(model.loss_terms(batch['inputs'], batch['masks']))
            optimizers[name].zero_grad()
            sum(terms.values()).backward()
            optimizers[name].step()
            for branch in model.branches().values():
                branch.memory.enqueue(branch.pending_keys)
                branch.pending_keys = None
                branch.momentum_update(0.9)
            losses[name] = terms
        for stream in streams:
            ((name, alone),) = losses[stream].items()
            assert losses['3s'][f'{stream}.{name}'].item() == pytest.approx(alone.item(), rel=1e-4, abs=1e-6), (
                stream,
                step,
            )
        assert len(losses['3s']) == 3
    assert len({round(value.item(), 5) for value in losses['3s'].values()}) == 3


def test_weights_follow_from_seed_and_stream(tiny_options):
    torch.rand(17)
    first, second, other = (build(tiny_options, MOCO, seed=seed) for seed in (0, 0, 1))
    motion = build(tiny_options, MOCO, seed=0, stream='motion')
    weight = [model.backbone.units[0].gcn.weight for model in (first, second, other, motion)]
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[2]) and not torch.equal(weight[0], weight[3])
    three = build(tiny_options, THREE, seed=0, **{'branch.backbone.init_std': 0.02})
    for branch in three.branches().values():
        assert branch.backbone.units[2].gcn.weight.std() < 0.03
        for a, b in zip(branch.backbone.parameters(), branch.backbone_k.parameters(), strict=True):
            assert torch.equal(a, b)


def test_three_streams_offer_joined_and_single_features(make):
    model, batch = make(THREE).eval(), make_batch()
    features = model(batch['inputs'], batch['mask'], mode='tensor')
    for point, width in (('backbone', 8), ('projection', 4)):
        parts = [features[f'{stream}.{point}'] for stream in ('joint', 'motion', 'bone')]
        assert all(part.shape == (6, width) for part in parts)
        torch.testing.assert_close(
            features[point], torch.cat([part / part.norm(dim=1, keepdim=True) for part in parts], 1)
        )
    x = to_stream(batch['inputs'], 'bone', model.branches()['bone'].layout)
    by_hand = pooled(model.branches()['bone'].backbone(rows_of(x)))
    torch.testing.assert_close(features['bone.backbone'], by_hand, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('streams', [[], ['joint', 'joint']])
def test_streams_are_named_once(tiny_options, streams):
    cfg = load_config(THREE, tiny_options('nowhere', THREE)).model
    with pytest.raises(ConfigError, match='streams'):
        MultiStream(cfg.branch, streams)


def test_predictions_carry_index_label_and_role(make):
    model, batch = make(ACTCLR).eval(), make_batch()
    batch.update(label=torch.arange(6) * 2, role=torch.arange(6) % 2)
    samples = model.test_step(batch)
    assert [sample.label for sample in samples] == [0, 2, 4, 6, 8, 10]
    assert [sample.role for sample in samples] == [0, 1] * 3 and samples[3].index == 3
    expected = model.extract(batch['inputs'], batch['mask'])['backbone']
    torch.testing.assert_close(samples[4].features['backbone'], expected[4])


def test_under_autocast_only_the_encoder_loses_precision(make):
    model, batch, seen = make(ACTCLR).eval(), make_batch(), []
    plain = model(batch['inputs'], batch['mask'])
    model.projector.register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0].dtype, output.dtype]))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low = model(batch['inputs'], batch['mask'])
    assert seen == [torch.float32] * 2
    assert not torch.equal(low['backbone'], plain['backbone'])
    torch.testing.assert_close(low['backbone'], plain['backbone'], atol=0.05, rtol=0.05)


def test_the_actionlet_head_may_name_its_layout(make):
    assert make(ACTCLR, **{'actionlet_head.layout': 'kinect20_utdmhad'}).actionlet_head is not None
