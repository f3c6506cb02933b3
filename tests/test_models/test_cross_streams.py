"""CrosSCLR and CMD against float64 loops written from their descriptions, and the memories that they rest on."""
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper

from mmactclr.engine.hooks import MemoryBankHook, MomentumUpdateHook
from mmactclr.errors import ConfigError
from mmactclr.models import CMD
from mmactclr.models.losses import NeighbourDistillationLoss, cross_contrast, neighbour_distillation
from mmactclr.registry import MODELS
from mmactclr.utils import load_config

TWO, THREE, DISTILLED = 'crosclr_2s_ntu60_xsub', 'crosclr_3s_ntu60_xsub', 'cmd_3s_ntu60_xsub'
TAU, TAU_STUDENT, TAU_TEACHER, TOP_K = 0.07, 0.1, 0.05, 5


@pytest.fixture
def make(tiny_options):
    """Builds a tiny model whose memories hold some keys, after the switch where there is one."""

    def make(config=THREE, epoch=150, keys=11, **more):
        few = {'distillation.top_k': TOP_K} if 'cmd' in config else {}
        options = {f'model.{name}': value for name, value in {**few, 'branch.backbone.dropout': 0.0, **more}.items()}
        torch.manual_seed(0)
        model = MODELS.build(load_config(config, {**tiny_options('nowhere', config), **options}).model)
        model.init_weights()
        generator = torch.Generator().manual_seed(4)
        for branch in model.branches().values():
            # large enough that queries differ: the initialisation of 0.02 makes them nearly equal
            for module in (branch.backbone, branch.projector, branch.backbone_k, branch.projector_k):
                for parameter in module.parameters():
                    parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
            if keys:
                branch.memory.enqueue(F.normalize(torch.randn(keys, 4, generator=generator), dim=1))
        model.set_progress(0, epoch, 5, 0)
        return model

    return make


def make_batch(n: int = 6, start: int = 0) -> dict:
    generator = torch.Generator().manual_seed(2 + start)
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    joints = torch.randn(n, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
        n, 2, 16, 20, 3, generator=generator).cumsum(2)
    return dict(inputs=joints * mask[:, :, None, None, None], mask=mask, index=torch.arange(start, start + n))


# the formulas, written out

def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def plain_cross(positive, own, teacher, topk, context):
    """L_uv of one sequence: similarities as lists of numbers of float64."""
    order = sorted(range(len(own)), key=lambda j: -teacher[j].item())[:topk]
    logits = [positive, *own]
    wanted = [0, *(1 + j for j in order)]
    if context:
        logits += [a * b for a, b in zip(own, teacher, strict=True)]
        wanted += [1 + len(own) + j for j in order]
    logits = torch.stack(logits) / TAU
    total = logits.exp().sum().log()
    return -sum(logits[p] - total for p in wanted) / len(wanted)


def plain_distillation(student, teacher, top_k, tau_student=TAU_STUDENT, tau_teacher=TAU_TEACHER):
    """KL(teacher || student) of one sequence over the teacher's nearest keys."""
    order = sorted(range(len(teacher)), key=lambda j: -teacher[j].item())[:top_k]
    p = torch.stack([(teacher[j] / tau_teacher).exp() for j in order])
    q = torch.stack([(student[j] / tau_student).exp() for j in order])
    p, q = (p / p.sum()).detach(), q / q.sum()
    return sum(p[i] * (p[i].log() - q[i].log()) for i in range(len(order)))


class Written:
    """Projections and similarities of a model of two persons a sequence, in float64 and stream by stream."""

    def __init__(self, model, inputs):
        self.modules, self.z_q, self.z_k, self.memory = {}, {}, {}, {}
        for stream, branch in model.branches().items():
            online = [deepcopy(part).double() for part in (branch.backbone, branch.projector)]
            key = [deepcopy(part).double() for part in (branch.backbone_k, branch.projector_k)]
            self.modules[stream] = online
            self.z_q[stream] = self.project(*online, inputs[stream]['query'])
            self.z_k[stream] = self.project(*key, inputs[stream]['key']).detach()
            self.memory[stream] = branch.memory.keys[:int(branch.memory.filled)].double()

    @staticmethod
    def project(backbone, projector, x):
        pooled = backbone(x.double().permute(0, 1, 4, 2, 3).flatten(0, 1)).mean((2, 3))
        return F.normalize(projector(pooled.view(-1, 2, pooled.shape[1]).mean(1)), dim=1)

    def similar(self, z, stream, i):
        return [z[stream][i] @ m for m in self.memory[stream]]

    def nce(self, u):
        loss = 0.0
        for i, q in enumerate(self.z_q[u]):
            logits = torch.stack([q @ self.z_k[u][i], *self.similar(self.z_q, u, i)]) / TAU
            loss = loss - (logits[0] - logits.exp().sum().log()) / len(self.z_q[u])
        return loss

    def cross(self, u, topk=1, context=True):
        teachers = [v for v in self.z_q if v != u]
        loss = 0.0
        for v in teachers:
            for i, q in enumerate(self.z_q[u]):
                loss = loss + plain_cross(q @ self.z_k[u][i], self.similar(self.z_q, u, i),
                                          self.similar(self.z_q, v, i), topk, context) / len(self.z_q[u])
        return loss / len(teachers)

    def distillation(self, u):
        return sum(plain_distillation(self.similar(self.z_q, u, i), self.similar(self.z_k, v, i), TOP_K)
                   for v in self.z_q if v != u for i in range(len(self.z_q[u]))) / len(self.z_q[u])


def compare_gradients(model, written):
    for stream, branch in model.branches().items():
        for ours, reference in zip((branch.backbone, branch.projector), written.modules[stream], strict=True):
            # biases before batch norm have no gradient but rounding, so the scale is that of the whole module
            scale = max(other.grad.abs().max().item() for other in reference.parameters())
            for (name, parameter), other in zip(ours.named_parameters(), reference.parameters(), strict=True):
                torch.testing.assert_close(parameter.grad.double(), other.grad, atol=1e-3 * scale, rtol=2e-2, msg=name)
        assert all(p.grad is None for p in [*branch.backbone_k.parameters(), *branch.projector_k.parameters()])


# the losses

@pytest.mark.parametrize('topk', [1, 3, 50])
@pytest.mark.parametrize('context', [True, False])
def test_the_cross_loss_is_the_formula(topk, context):
    torch.manual_seed(0)
    positive, own, teacher = torch.rand(5, 1, dtype=torch.float64), unit(5, 20), unit(5, 20)
    expected = sum(plain_cross(positive[i, 0], own[i], teacher[i], topk, context) for i in range(5)) / 5
    torch.testing.assert_close(cross_contrast(positive, own, teacher, TAU, topk, context), expected)


@pytest.mark.parametrize('top_k', [1, 7, 50])
def test_distillation_is_the_formula(top_k):
    torch.manual_seed(0)
    student, teacher = unit(5, 20), unit(5, 20)
    expected = sum(plain_distillation(student[i], teacher[i], top_k, .3, .2) for i in range(5)) / 5
    torch.testing.assert_close(neighbour_distillation(student, teacher, .3, .2, top_k), expected)
    torch.testing.assert_close(NeighbourDistillationLoss(.3, .2, top_k)(student, teacher), expected)


def test_a_sharp_teacher_of_the_distillation_mines_its_nearest_key():
    """As its temperature tends to 0, the term becomes cross-entropy with the teacher's top-1 over its nearest keys."""
    torch.manual_seed(0)
    student, teacher = unit(6, 20), unit(6, 20)
    limit = 0.0
    for s, t in zip(student, teacher, strict=True):
        order = sorted(range(20), key=lambda j: -float(t[j]))[:8]
        limit -= ((s[order[0]] / .1).exp() / sum((s[j] / .1).exp() for j in order)).log() / 6
    gaps = [abs(neighbour_distillation(student, teacher, .1, tau, 8) - limit) for tau in (1e-1, 1e-2, 1e-4)]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-6


def test_gradients_of_the_losses():
    """A teacher of the distillation gets none; one of the cross loss by the context, as in the authors' code."""
    torch.manual_seed(0)
    student, teacher = unit(4, 9).requires_grad_(True), unit(4, 9).requires_grad_(True)
    neighbour_distillation(student, teacher, .1, .05, 5).backward()
    assert student.grad.abs().sum() > 0 and teacher.grad is None
    for context in (True, False):
        student.grad = teacher.grad = None
        cross_contrast(torch.rand(4, 1), student, teacher, TAU, 1, context).backward()
        assert student.grad.abs().sum() > 0
        assert (teacher.grad is not None and teacher.grad.abs().sum() > 0) == context


@pytest.mark.parametrize('loss', [lambda s, t: cross_contrast(torch.rand(4, 1), s, t, TAU),
                                  lambda s, t: neighbour_distillation(s, t, .1, .05, 5)])
def test_an_empty_memory_costs_nothing(loss):
    student = torch.zeros(4, 0, requires_grad=True)
    value = loss(student, torch.zeros(4, 0))
    assert value == 0 and torch.isfinite(value)


# the methods

@pytest.mark.parametrize('config, more', [
    (THREE, {}), (TWO, {}), (THREE, dict(topk=2)), (THREE, dict(context=False))])
def test_losses_and_gradients_of_crosclr_are_those_of_the_description(make, config, more):
    model = make(config, **more)
    batch = model.training_views(make_batch())
    written = Written(model, batch['inputs'])
    terms = dict(model.losses(batch))
    expected = {stream: written.cross(stream, **more) for stream in model.branches()}
    assert list(terms) == ['loss_cross']
    assert terms['loss_cross'].item() == pytest.approx(sum(expected.values()).item(), rel=1e-4)
    for stream, branch in model.branches().items():
        assert branch.log_scalars['cross'].item() == pytest.approx(expected[stream].item(), rel=1e-4)
        torch.testing.assert_close(branch.pending_keys, written.z_k[stream].float(), atol=1e-4, rtol=1e-4)
    terms['loss_cross'].backward()
    sum(expected.values()).backward()
    compare_gradients(model, written)


def test_before_the_switch_crosclr_is_momentum_contrast_in_every_stream(make):
    model = make(epoch=149)
    batch = model.training_views(make_batch())
    written = Written(model, batch['inputs'])
    terms = dict(model.losses(batch))
    assert list(terms) == [f'{stream}.loss_nce' for stream in ('joint', 'motion', 'bone')]
    for stream in model.branches():
        assert terms[f'{stream}.loss_nce'].item() == pytest.approx(written.nce(stream).item(), rel=1e-4)


def test_the_switch_is_a_function_of_the_epoch(make):
    model = make(cross_epoch=3)
    for epoch, crossing in ((0, False), (2, False), (3, True), (299, True), (1, False)):
        model.set_progress(0, epoch, 0, 0)
        assert model.crossing == crossing


def test_losses_and_gradients_of_cmd_are_those_of_the_description(make):
    model = make(DISTILLED)
    batch = model.training_views(make_batch())
    written = Written(model, batch['inputs'])
    terms = dict(model.losses(batch))
    expected = {}
    for stream, branch in model.branches().items():
        parts = dict(nce=written.nce(stream), distillation=written.distillation(stream))
        for name, value in parts.items():
            assert branch.log_scalars[name].item() == pytest.approx(value.item(), rel=1e-4)
        expected[f'{stream}.loss_cmd'] = sum(parts.values())
        torch.testing.assert_close(branch.pending_keys, written.z_k[stream].float(), atol=1e-4, rtol=1e-4)
    assert list(terms) == list(expected)
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4)
    sum(terms.values()).backward()
    sum(expected.values()).backward()
    compare_gradients(model, written)


def test_the_terms_of_cmd_are_equal_where_the_streams_are(make, monkeypatch):
    """One stream three times over: same weights, memory and views."""
    model = make(DISTILLED)
    first, *others = model.branches().values()
    for branch in others:
        branch.load_state_dict(first.state_dict())
    batch = model.training_views(make_batch())
    found, loss = [], model.distillation.forward
    monkeypatch.setattr(model.distillation, 'forward', lambda *args: found.append(loss(*args)) or found[-1])
    dict(model.losses(dict(batch, inputs=dict.fromkeys(model.branches(), batch['inputs']['motion']))))
    assert len(found) == 6 and found[0] > 0
    assert all(torch.equal(value, found[0]) for value in found)


def test_terms_of_cmd_may_be_taken_one_by_one(make):
    """Each has a graph of its own: backward passes one after the other give the gradient of the sum."""
    gradients = []
    for together in (True, False):
        model = make(DISTILLED)
        terms = model.losses(model.training_views(make_batch()))
        if together:
            sum(loss for _, loss in terms).backward()
        else:
            for _, loss in terms:
                loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_streams_have_projectors_of_their_own(make):
    """Of two layers, as the paper has them: the authors' code builds them around that of the joint stream."""
    model = make()
    linear = [[layer for layer in branch.projector.modules() if isinstance(layer, torch.nn.Linear)]
              for branch in model.branches().values()]
    assert [len(layers) for layers in linear] == [2, 2, 2]
    assert len({id(layer.weight) for layers in linear for layer in layers}) == 6
    assert len({layer.weight.data_ptr() for layers in linear for layer in layers}) == 6


# the state

class Steps:
    """Training steps of a model with the hooks of a run, on sequences that are numbered on."""

    def __init__(self, model, momentum=0.9):
        self.model, self.iteration, self.stored = model, 0, []
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.runner = SimpleNamespace(model=model, optim_wrapper=OptimWrapper(torch.optim.SGD(parameters, 0.1)))
        self.hooks = [MemoryBankHook(), MomentumUpdateHook(momentum)]

    def take(self, epoch, n=6):
        """A step; notes sequence and key of every row that goes to the memories."""
        self.model.set_progress(0, epoch, self.iteration, 0)
        batch = make_batch(n, start=10 * self.iteration)
        self.model.train_step(batch, self.runner.optim_wrapper)
        pending = {stream: branch.pending_keys.clone() for stream, branch in self.model.branches().items()}
        self.stored += [(int(index), {stream: keys[row] for stream, keys in pending.items()})
                        for row, index in enumerate(batch['index'])]
        for hook in self.hooks:
            hook.after_train_iter(self.runner, self.iteration)
        self.iteration += 1


def columns(memory, stored, stream) -> list[int]:
    """Which sequence each row of a memory is, found by its key."""
    found = []
    for row in memory.valid():
        (match,) = [index for index, keys in stored if torch.equal(keys[stream], row)]
        found.append(match)
    return found


@pytest.mark.parametrize('config', [TWO, THREE, DISTILLED])
def test_a_column_is_the_same_sequence_in_every_stream(make, config, tmp_path):
    """While the memories fill, after they wrapped around with a size that no batch divides, and after a resume."""
    model = make(config, keys=0, **({} if 'cmd' in config else dict(cross_epoch=2)))
    steps, seen = Steps(model), []
    for epoch in (0, 1, 2, 3, 4):
        steps.take(epoch)
        found = [columns(branch.memory, steps.stored, stream) for stream, branch in model.branches().items()]
        assert all(one == found[0] for one in found) and len(set(found[0])) == len(found[0])
        seen.append(found[0])
    assert [len(one) for one in seen] == [6, 12, 16, 16, 16] and seen[2] != seen[3] != seen[4]
    # the newest 16 of 30
    assert sorted(seen[4]) == [index for index, _ in steps.stored][-16:]

    torch.save(model.state_dict(), tmp_path / 'state.pth')
    resumed = make(config, keys=0, **({} if 'cmd' in config else dict(cross_epoch=2)))
    resumed.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    again = Steps(resumed)
    again.iteration, again.stored = steps.iteration, list(steps.stored)
    again.take(5)
    found = [columns(branch.memory, again.stored, stream) for stream, branch in resumed.branches().items()]
    assert all(one == found[0] for one in found)
    assert sorted(found[0]) == [index for index, _ in again.stored][-16:]


def test_a_batch_larger_than_the_memories_leaves_its_last_keys_aligned(make):
    model = make(DISTILLED, keys=0, **{'branch.memory.size': 4})
    steps = Steps(model)
    for epoch in (0, 1):
        steps.take(epoch)
    found = [columns(branch.memory, steps.stored, stream) for stream, branch in model.branches().items()]
    assert all(one == found[0] for one in found)
    assert sorted(found[0]) == [index for index, _ in steps.stored][-4:]


@pytest.mark.parametrize('config', [THREE, DISTILLED])
def test_memories_out_of_step_are_refused(make, config):
    model = make(config)
    model.branches()['motion'].memory.enqueue(torch.zeros(1, 4))
    with pytest.raises(ConfigError, match=r'out of step \(joint 11 of 16 keys, next slot 11, motion 12 of 16'):
        dict(model.losses(model.training_views(make_batch())))
    # full ones alike, but not where the next key goes
    model = make(config, keys=16)
    model.branches()['joint'].memory.enqueue(torch.zeros(1, 4))
    with pytest.raises(ConfigError, match='out of step'):
        dict(model.losses(model.training_views(make_batch())))


@pytest.mark.parametrize('config, epochs', [(THREE, (0, 150)), (TWO, (149, 150)), (DISTILLED, (0, 1))])
def test_every_key_encoder_follows_by_momentum_in_both_stages(make, config, epochs):
    """The authors' code of CrosSCLR freezes those of joint and bone at the switch."""
    model = make(config)
    steps = Steps(model, momentum=0.75)
    parts = [(getattr(branch, part), getattr(branch, f'{part}_k'), f'{stream}.{part}')
             for stream, branch in model.branches().items() for part in ('backbone', 'projector')]
    for epoch in epochs:
        before = [[p.clone() for p in key.parameters()] for _, key, _ in parts]
        steps.take(epoch)
        for (online, key, name), old in zip(parts, before, strict=True):
            for o, k, b in zip(online.parameters(), key.parameters(), old, strict=True):
                expected = 0.75 * b.double() + 0.25 * o.detach().double()
                torch.testing.assert_close(k.double(), expected, atol=1e-6, rtol=1e-5, msg=name)
            assert any(not torch.equal(k, b) for k, b in zip(key.parameters(), old, strict=True)), (epoch, name)


@pytest.mark.parametrize('hook, epoch', [(0, 0), (0, 150), (1, 0), (1, 150)])
def test_a_forgotten_hook_is_named_in_both_stages(make, hook, epoch):
    steps = Steps(make())
    forgotten = type(steps.hooks.pop(hook)).__name__
    steps.take(epoch)
    with pytest.raises(ConfigError, match=f'{forgotten} is missing'):
        steps.take(epoch)


@pytest.mark.parametrize('config', [THREE, DISTILLED])
def test_dropout_of_a_step_is_drawn_from_seed_stream_and_iteration(make, config):
    values = []
    for noise in (0, 1, 2):
        model = make(config, **{'branch.backbone.dropout': 0.5})
        model.set_progress(int(noise == 2), 150, 5, 0)
        batch = model.training_views(make_batch())
        torch.rand(noise)
        values.append(sum(dict(model.losses(batch)).values()).item())
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize('config', [THREE, DISTILLED])
def test_every_pass_of_a_step_draws_its_own_dropout(make, config):
    model, states = make(config), []
    for branch in model.branches().values():
        for backbone in (branch.backbone, branch.backbone_k):
            backbone.register_forward_pre_hook(lambda *_: states.append(torch.rand(()).item()))
    dict(model.losses(model.training_views(make_batch())))
    assert len(set(states)) == 6


@pytest.mark.parametrize('config', [THREE, DISTILLED])
def test_a_batch_with_nobody_and_empty_memories_have_finite_losses(make, config):
    model, batch = make(config, keys=0), make_batch()
    batch['inputs'], batch['mask'] = torch.zeros_like(batch['inputs']), torch.zeros_like(batch['mask'])
    terms = dict(model.losses(model.training_views(batch)))
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize('config, change, message', [
    (THREE, dict(cross_epoch=-1), 'CrosSCLR: cross_epoch is -1'), (THREE, dict(topk=0), 'CrosSCLR: topk is 0'),
    (THREE, dict(streams=['bone']), r"CrosSCLR: streams are \['bone'\]"),
    (DISTILLED, dict(streams=['bone']), r"CMD: streams are \['bone'\]"),
    (DISTILLED, {'distillation.top_k': 0}, 'top_k is 0'),
    (DISTILLED, {'distillation.tau_teacher': 0}, 'tau_teacher is 0')])
def test_what_cannot_be_is_named(make, config, change, message):
    with pytest.raises(ConfigError, match=message):
        make(config, **change)


def test_branches_without_a_memory_are_named():
    backbone = dict(type='STGCN', layout='ntu25', channels=[4, 8], strided_units=[2])
    with pytest.raises(ConfigError, match='branch is of type Recognizer, expected MoCo'):
        CMD(dict(type='Recognizer', layout='ntu25', backbone=backbone, head=None),
            dict(type='NeighbourDistillationLoss'))


@pytest.mark.parametrize('config', ['crosclr_3s_ntu60_xsub', 'cmd_3s_ntu60_xsub'])
def test_memories_of_streams_that_were_trained_apart_are_left_out(config, tiny_options, monkeypatch):
    warned = []
    monkeypatch.setattr('mmactclr.models.algorithms.aligned_streams.print_log', lambda text, **_: warned.append(text))
    cfg = load_config(config, tiny_options('nowhere', config))
    together, again, apart = (MODELS.build(cfg.model) for _ in range(3))
    for branch in together.branches().values():
        branch.memory.enqueue(torch.nn.functional.normalize(torch.randn(6, 4), dim=1))
    state = together.state_dict()
    again.load_state_dict(state)
    assert not warned and {int(branch.memory.filled) for branch in again.branches().values()} == {6}
    # a joined checkpoint: the same counters, and nothing that says that they were filled together
    del state['aligned']
    missing = apart.load_state_dict(state, strict=False)
    assert 'left out and fill anew' in warned[0] and not missing.unexpected_keys
    assert {int(branch.memory.filled) for branch in apart.branches().values()} == {0}
    for name, value in together.named_parameters():
        assert torch.equal(apart.get_parameter(name), value)


@pytest.mark.parametrize('epoch', [0, 149, 150])
def test_memories_out_of_step_are_refused_in_every_epoch(epoch, tiny_options):
    config = 'crosclr_3s_ntu60_xsub'
    model = MODELS.build(load_config(config, tiny_options('nowhere', config)).model)
    model.branches()['motion'].memory.enqueue(torch.ones(1, 4) / 2)
    model.set_progress(0, epoch, 0, 0)
    with pytest.raises(ConfigError, match='out of step'):
        next(model.losses(dict(inputs={}, masks={})))


@pytest.mark.parametrize('streams, message', [
    (['joint', 'bones'], "streams is .*'bones'.*expected a list of some of joint, motion, bone"),
    ('joint', "streams is 'joint', expected a list"),
    (['joint', 'motion', 'bone'], r"data_preprocessor.streams \['joint', 'motion'\]")])
def test_streams_that_are_none_are_named(streams, message, tiny_options):
    config = 'crosclr_2s_ntu60_xsub'
    with pytest.raises(ConfigError, match=message):
        MODELS.build(dict(load_config(config, tiny_options('nowhere', config)).model, streams=streams))
