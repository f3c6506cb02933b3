"""AimCLR against float64 loops written from its description."""
import math
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError
from mmactclr.models.losses import contrast_logits, d3m, key_and_neighbours, multi_positive
from mmactclr.models.necks import EnergyDrop, energy_drop
from mmactclr.utils import load_config
from tests.test_models.tiny_methods import build, in_double, make_batch

CONFIG, THREE, SMALL = 'aimclr_joint_ntu60_xsub', 'aimclr_3s_ntu60_xsub', 'aimclr_joint_utdmhad_xsub'
STREAMS = ('joint', 'motion', 'bone')
TAU, THRESHOLD = 0.07, 0.7


@pytest.fixture
def make(tiny_options):
    """Builds a tiny model with a memory, before mining unless told otherwise."""

    def make(config=CONFIG, epoch=0, keys=11, **more):
        options = {f'model.{name}': value for name, value in more.items()}
        model = build(config, {**tiny_options('nowhere', config), **options}, keys)
        model.set_progress(0, epoch, 5, 0)
        return model

    return make


# the formulas, written out

def plain_attention(h: np.ndarray) -> np.ndarray:
    out = np.zeros_like(h)
    for p in range(h.shape[0]):
        for c in range(h.shape[1]):
            square = (h[p, c] - h[p, c].mean()) ** 2
            spread = square.sum() / (square.size - 1)
            out[p, c] = 1 / (1 + np.exp(-(square / (4 * (spread + 1e-4)) + 0.5)))
    return out


def plain_keep(h: np.ndarray, threshold: float) -> np.ndarray:
    """Factor of every entry: joints by mean attention, then entries, each with the share that is left."""
    attention = plain_attention(h)
    persons, channels, cells, joints = h.shape
    by_joint = np.ones((persons, joints))
    for p in range(persons):
        for v in range(joints):
            if sum(attention[p, c, t, v] for c in range(channels) for t in range(cells)) / (channels * cells) \
                    >= threshold:
                by_joint[p, v] = 0
    by_entry = np.where(attention >= threshold, 0.0, 1.0)
    by_joint = by_joint * by_joint.size / by_joint.sum()
    by_entry = by_entry * by_entry.size / by_entry.sum()
    return by_joint[:, None, None, :] * by_entry


def plain_probabilities(z, z_k, memory):
    """softmax([z . z_k, z . m_1, ...] / tau) of one query."""
    scores = torch.stack([z @ z_k, *(z @ m for m in memory)]) / TAU
    return torch.softmax(scores, 0)


def written_out(model, views, mining):
    """(L_nce, (L_e + L_d) / 2) of a model of two persons a sequence in float64."""
    backbone, projector, backbone_k, projector_k = (
        deepcopy(module).double() for module in (model.backbone, model.projector, model.backbone_k, model.projector_k))

    def features(encoder, x):
        return encoder(x.double().permute(0, 1, 4, 2, 3).flatten(0, 1))

    def project(head, h):
        return F.normalize(head(h.mean((2, 3)).view(-1, 2, h.shape[1]).mean(1)), dim=1)

    z_q = project(projector, features(backbone, views['query']))
    h = features(backbone, views['extreme'])
    z_e = project(projector, h)
    z_d = project(projector, h * torch.from_numpy(plain_keep(h.detach().numpy(), THRESHOLD)))
    z_k = project(projector_k, features(backbone_k, views['key'])).detach()
    memory = model.memory.keys[:int(model.memory.filled)].double()
    nce = distribution = 0.0
    sizes = []
    for q, e, d, k in zip(z_q, z_e, z_d, z_k, strict=True):
        p_q, p_e, p_d = (plain_probabilities(z, k, memory) for z in (q, e, d))
        wanted = {0}
        if mining:
            for z in (q, e, d):
                matches = [(z @ m).item() for m in memory]
                wanted.add(1 + matches.index(max(matches)))
        sizes.append(len(wanted))
        nce = nce - sum(p_q[j].log() for j in wanted) / len(wanted) / len(z_q)
        target = p_q.detach()
        distribution = distribution - ((target * p_e.log()).sum() + (target * p_d.log()).sum()) / 2 / len(z_q)
    return nce, distribution, sizes, (backbone, projector), z_k


# the parts

def test_the_drop_is_the_formula():
    rng = np.random.default_rng(0)
    h = rng.normal(size=(3, 4, 5, 6)) ** 3
    # one joint that stands out everywhere, and one map without any contrast
    h[1, :, :, 2] += 9 * rng.choice([-1, 1], size=(4, 5))
    h[2, 3] = 0.5
    keep = plain_keep(h, THRESHOLD)
    assert (keep[1, :, :, 2] == 0).all() and (keep[2, 3] > 0).all()
    entries = plain_attention(h) >= THRESHOLD
    assert 0.02 < entries.mean() < 0.5
    for dropped in (energy_drop(torch.from_numpy(h), THRESHOLD), EnergyDrop(THRESHOLD)(torch.from_numpy(h))):
        np.testing.assert_allclose(dropped.numpy(), h * keep, atol=1e-12)


def test_the_drop_keeps_the_scale_of_a_map_without_structure():
    """What is zeroed is made up for: of |h| = 1 everywhere the mean stays, whatever was dropped."""
    h = torch.ones(2, 3, 8, 10, dtype=torch.float64)
    h[:, :, 3, 4] = -1.0
    dropped = energy_drop(h, THRESHOLD)
    assert (dropped == 0).any()
    assert dropped.abs().mean().item() == pytest.approx(1.0)


def test_what_is_dropped_gets_no_gradient_and_the_mask_gives_none():
    h = torch.randn(2, 3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).pow(3)
    keep = torch.from_numpy(plain_keep(h.numpy(), THRESHOLD))
    h.requires_grad_(True)
    weight = torch.randn(h.shape, dtype=torch.float64)
    (energy_drop(h, THRESHOLD) * weight).sum().backward()
    torch.testing.assert_close(h.grad, weight * keep)


@pytest.mark.parametrize('threshold', [0.6, 1.0])
def test_a_threshold_that_drops_all_or_nothing_is_named(threshold):
    with pytest.raises(ConfigError, match=f'threshold is {threshold}'):
        EnergyDrop(threshold)


def test_neighbours_are_a_union():
    """Four queries: all neighbours differ, two agree, all agree, and the key is no neighbour."""
    best = torch.tensor([[1, 2, 3], [1, 1, 3], [2, 2, 2], [0, 1, 0]])
    logits = []
    for column in range(3):
        scores = torch.zeros(4, 5)
        scores[:, 0] = 9.0
        scores[torch.arange(4), 1 + best[:, column]] = 1.0
        logits.append(scores)
    found = [row.nonzero()[:, 0].tolist() for row in key_and_neighbours(*logits)]
    assert found == [[0, 2, 3, 4], [0, 2, 4], [0, 3], [0, 1, 2]]
    assert key_and_neighbours(*logits, mining=False).nonzero().tolist() == [[i, 0] for i in range(4)]


def test_an_empty_memory_has_no_neighbours():
    logits = torch.zeros(3, 1)
    positives = key_and_neighbours(logits, logits)
    assert positives.all() and multi_positive(logits, positives) == 0 and d3m(logits, logits) == 0


def test_several_positives_against_plain_loops():
    generator = torch.Generator().manual_seed(3)
    logits = 5 * torch.randn(4, 7, dtype=torch.float64, generator=generator)
    positives = torch.rand(4, 7, generator=generator) < 0.4
    positives[:, 0] = True
    expected = 0.0
    for row, chosen in zip(logits.tolist(), positives.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        wanted = [value for value, inside in zip(row, chosen, strict=True) if inside]
        expected -= sum(math.log(math.exp(value) / total) for value in wanted) / len(wanted) / 4
    assert multi_positive(logits, positives).item() == pytest.approx(expected, rel=1e-12)


def test_logits_far_apart_stay_finite():
    """log(softmax) would underflow; log_softmax does not."""
    logits = torch.tensor([[0.0, 400.0, -400.0]])
    positives = torch.tensor([[True, True, True]])
    assert multi_positive(logits, positives).item() == pytest.approx((400 + 0 + 800) / 3)
    assert torch.isfinite(d3m(-logits, logits))


def test_logits_are_cosines_over_the_temperature():
    generator = torch.Generator().manual_seed(5)
    z_q, z_k, negative, memory = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (3, 3, 3, 6))
    memory = F.normalize(memory, dim=1)
    found = contrast_logits(z_q, z_k, memory, 0.2, negative)
    for i in range(3):
        length = math.sqrt(sum(value ** 2 for value in z_q[i].tolist()))
        others = [z_k[i] / z_k[i].norm(), *memory, negative[i] / negative[i].norm()]
        expected = [sum(a * b for a, b in zip(z_q[i].tolist(), other.tolist(), strict=True)) / length / 0.2
                    for other in others]
        np.testing.assert_allclose(found[i], expected, rtol=1e-12)


# the method

@pytest.mark.parametrize('mining', [False, True])
@pytest.mark.parametrize('stream', STREAMS)
def test_losses_and_gradients_are_those_of_the_description(make, stream, mining):
    model = make(epoch=int(mining), mining_epoch=1,
                 **{'backbone.dropout': 0.0, 'stream': stream, 'data_preprocessor.streams': [stream]})
    batch = model.training_views(make_batch())
    model = in_double(model)
    views = batch['inputs'][stream]
    nce, distribution, sizes, modules, z_k = written_out(model, views, mining)

    terms = dict(model.loss_terms(batch['inputs'], batch['masks']))
    assert list(terms) == ['loss_nce', 'loss_d3m']
    assert terms['loss_nce'].item() == pytest.approx(nce.item(), rel=1e-9)
    assert terms['loss_d3m'].item() == pytest.approx(distribution.item(), rel=1e-9)
    assert model.log_scalars['positives'].item() == pytest.approx(sum(sizes) / 6)
    assert (max(sizes) > 1) == mining
    torch.testing.assert_close(model.pending_keys, z_k)

    sum(terms.values()).backward()
    (nce + distribution).backward()
    for ours, reference in zip((model.backbone, model.projector), modules, strict=True):
        for (name, parameter), other in zip(ours.named_parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, other.grad, atol=1e-9, rtol=1e-6, msg=name)
    assert all(p.grad is None for p in [*model.backbone_k.parameters(), *model.projector_k.parameters()])


def test_a_normal_view_that_is_extreme_too_learns_nothing_more_from_itself(make):
    """Without drop, D3M of equal views is the entropy of p(z_q): its least value, where the gradient vanishes."""
    logits = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    loss = d3m(logits, logits, logits)
    p = logits.detach().softmax(1)
    assert loss.item() == pytest.approx(-(p * p.log()).sum(1).mean().item())
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits))


def test_terms_may_be_taken_one_by_one(make):
    """Each has a graph of its own: backward passes one after the other give the gradient of the sum."""
    gradients = []
    for together in (True, False):
        model = make(epoch=1, mining_epoch=1)
        batch = model.training_views(make_batch())
        terms = model.loss_terms(batch['inputs'], batch['masks'])
        if together:
            sum(loss for _, loss in terms).backward()
        else:
            for _, loss in terms:
                loss.backward()
        gradients.append([p.grad.clone() for p in model.backbone.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_mining_begins_in_the_epoch_after_mining_epoch(make):
    """150 epochs without: epoch 151 of the run, which the code counts 150, is the first that mines."""
    model = make(mining_epoch=150)
    seen = {}
    for epoch in (0, 148, 149, 150, 151, 299, 3):
        model.set_progress(0, epoch, 100 + epoch, 0)
        batch = model.training_views(make_batch())
        dict(model.loss_terms(batch['inputs'], batch['masks']))
        model.pending_keys, model.momentum_due = None, False
        seen[epoch + 1] = model.mining, model.log_scalars['positives'].item() > 1
    assert seen == {1: (False,) * 2, 149: (False,) * 2, 150: (False,) * 2, 151: (True,) * 2, 152: (True,) * 2,
                    300: (True,) * 2, 4: (False,) * 2}


def test_the_first_step_of_all_has_no_neighbours(make):
    model = make(keys=0, epoch=1, mining_epoch=0)
    batch = model.training_views(make_batch())
    terms = dict(model.loss_terms(batch['inputs'], batch['masks']))
    assert [value.item() for value in terms.values()] == [0.0, 0.0]


def test_a_batch_of_nobody_has_finite_losses(make):
    model, batch = make(epoch=1, mining_epoch=1), make_batch()
    batch['inputs'], batch['mask'] = torch.zeros_like(batch['inputs']), torch.zeros_like(batch['mask'])
    batch = model.training_views(batch)
    terms = dict(model.loss_terms(batch['inputs'], batch['masks']))
    assert all(torch.isfinite(value) for value in [*terms.values(), *model.log_scalars.values()])


def test_each_branch_of_three_streams_is_a_run_of_its_own(make):
    three = make(THREE, epoch=1, **{'branch.mining_epoch': 1})
    batch = three.training_views(make_batch())
    losses = dict(three.loss_terms(batch['inputs'], batch['masks'], batch['mixes']))
    for stream in STREAMS:
        single = make(epoch=1, mining_epoch=1, **{'stream': stream, 'data_preprocessor.streams': [stream]})
        single.load_state_dict(three.branches()[stream].state_dict())
        batch = single.training_views(make_batch())
        for name, loss in single.loss_terms(batch['inputs'], batch['masks']):
            assert loss.item() == losses[f'{stream}.{name}'].item(), (stream, name)


def test_a_negative_start_of_mining_is_named(make):
    with pytest.raises(ConfigError, match='mining_epoch is -1'):
        make(mining_epoch=-1)


# the recipe

def test_the_config_has_the_constants_of_the_description():
    cfg = load_config(CONFIG)
    model, views = cfg.model, cfg.model.data_preprocessor.views
    weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
    assert views.query.joints == views.key.joints == views.extreme.joints[:2] == weak
    assert [(step.type, step.get('p')) for step in views.extreme.joints[2:]] == [
        ('RandomFlip', 0.5), ('RandomRotation', None), ('GaussianNoise', 0.5), ('GaussianBlur', 0.5), ('AxisMask', 0.5),
        ('TemporalFlip', 0.0)]
    assert views.extreme.joints[4].std == 0.01
    assert (model.loss.temperature, model.memory.size, model.mining_epoch) == (TAU, 32768, 150)
    assert model.drop.threshold == THRESHOLD
    assert cfg.train_cfg.max_epochs == 300 and cfg.param_scheduler.milestones == [250]
    assert cfg.optim_wrapper.optimizer.lr == 0.1 and cfg.train_dataloader.batch_size == 128


def test_temporal_flip_is_a_switch(make):
    """Off as released; switched on by its probability it reverses the extreme view and no other."""
    place = 'data_preprocessor.views.extreme.joints.7.p'
    off, on = (make(**{place: p}).training_views(make_batch())['inputs']['joint'] for p in (0.0, 1.0))
    torch.testing.assert_close(on['extreme'], off['extreme'].flip(2))
    assert torch.equal(on['query'], off['query']) and not torch.equal(on['extreme'], off['extreme'])


def test_the_small_recipe_differs_from_momentum_contrast_in_the_method_alone():
    ours, moco = (load_config(name) for name in (SMALL, 'moco_joint_utdmhad_xsub'))
    for field in ('backbone', 'projector', 'memory', 'loss', 'skip_absent'):
        assert ours.model[field] == moco.model[field], field
    for field in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader', 'custom_hooks'):
        assert ours[field] == moco[field], field
    views = ours.model.data_preprocessor.views
    assert views.query == views.key == moco.model.data_preprocessor.views.query
    assert views.extreme.joints[:4] == views.query.joints
