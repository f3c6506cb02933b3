"""Every equation of the method against plain float64 loops, and what docs/theory.md derives from them."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmactclr.models.heads import (
    ActionletHead,
    actionlet_map,
    anchor_gradient,
    select_region,
    semantic_aware_pooling,
    upsample_region,
)
from mmactclr.models.losses import InfoNCELoss, SimilarityMiningLoss, info_nce, similarity_mining
from mmactclr.models.persons import PersonRows, fold_persons
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config

LAYOUT = 'kinect20_utdmhad'
N, M, C, CELLS, V, D = 3, 2, 6, 4, 20, 5


# plain formulas

def unit(x: np.ndarray) -> np.ndarray:
    return x / math.sqrt(sum(float(value) ** 2 for value in x))


def project(weights, x: np.ndarray) -> np.ndarray:
    w1, b1, w2, b2 = weights
    return w2 @ np.maximum(w1 @ x + b1, 0) + b2


def minus_cosine(weights, x: np.ndarray, z_anchor: np.ndarray) -> float:
    return -float(unit(project(weights, x)) @ unit(z_anchor))


def written_out_gradient(weights, x: np.ndarray, z_anchor: np.ndarray) -> np.ndarray:
    """d(-cos)/dx of docs/theory.md: through the cosine, the second layer, the ReLU, the first layer."""
    w1, b1, w2, b2 = weights
    z = project(weights, x)
    u, u_anchor = unit(z), unit(z_anchor)
    slope = -(u_anchor - (u @ u_anchor) * u) / np.linalg.norm(z)
    return w1.T @ ((w1 @ x + b1 > 0) * (w2.T @ slope))


def neighbourhood() -> np.ndarray:
    layout = get_layout(LAYOUT)
    graph = np.eye(layout.num_joints)
    for child, parent in layout.bones:
        graph[child, parent] = graph[parent, child] = 1
    for column in range(layout.num_joints):
        graph[:, column] /= sum(graph[:, column])
    return graph


def plain_actionlet(h: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Eq. 5 for one person: h (C, T', V) and alpha (C,) give A (T', V)."""
    channels, cells, joints = h.shape
    graph, actionlet = neighbourhood(), np.zeros((cells, joints))
    for t in range(cells):
        active = [max(0.0, sum(alpha[c] * h[c, t, v] for c in range(channels))) for v in range(joints)]
        for w in range(joints):
            actionlet[t, w] = sum(active[v] * graph[v, w] for v in range(joints))
    return actionlet


def plain_pooling(h: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """SAFP for one person; a zero mask falls back to the mean."""
    weight = weight if weight.sum() > 0 else np.ones_like(weight)
    return np.array([sum(weight[t, v] * h[c, t, v] for t in range(h.shape[1]) for v in range(h.shape[2]))
                     for c in range(len(h))]) / weight.sum()


def plain_upsampling(region: np.ndarray, num_frames: int) -> np.ndarray:
    """Linear interpolation over time, first and last frame on first and last cell."""
    cells = len(region)
    up = np.zeros((num_frames, region.shape[1]))
    for t in range(num_frames):
        place = t * (cells - 1) / (num_frames - 1)
        low = min(int(place), cells - 2)
        up[t] = region[low] + (place - low) * (region[low + 1] - region[low])
    return up


def plain_softmax(scores) -> np.ndarray:
    return np.array([math.exp(score) for score in scores]) / sum(math.exp(score) for score in scores)


# what the equations are tried on

@pytest.fixture
def projector():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(C, 8), nn.ReLU(), nn.Linear(8, D)).double()


@pytest.fixture
def features():
    """Feature map (N * M, C, T', V), its rows, and the projection of an anchor."""
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(N * M, C, CELLS, V, dtype=torch.float64, generator=generator)
    return h, make_rows(), torch.randn(1, D, dtype=torch.float64, generator=generator)


def make_rows(present: torch.Tensor | None = None) -> PersonRows:
    present = torch.ones(N, M, dtype=torch.bool) if present is None else present
    return fold_persons(torch.zeros(*present.shape, 1, 1, 3), present, skip_absent=False)[1]


def weights_of(projector) -> tuple[np.ndarray, ...]:
    return tuple(p.detach().double().numpy() for p in projector.parameters())


def projections(n: int = 5, size: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries and keys of any length, a memory of unit vectors."""
    generator = torch.Generator().manual_seed(seed)
    z_q, z_k, memory = (torch.randn(rows, 4, dtype=torch.float64, generator=generator) for rows in (n, n, size))
    return 3 * z_q, z_k / 2, F.normalize(memory, dim=1)


@pytest.fixture
def model(tiny_options):
    """Tiny ActCLR of the paper's config in stage two, with memory and anchor."""
    cfg = load_config('actclr_joint_ntu60_xsub', {**tiny_options('nowhere'), 'model.backbone.dropout': 0.0})
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    generator = torch.Generator().manual_seed(4)
    model.memory.enqueue(F.normalize(torch.randn(11, 4, generator=generator), dim=1))
    model.set_anchor(joints()[0].mean(0))
    model.set_progress(0, 1, 5, 0)
    return model


def joints(seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Prepared joints (4, 2, 16, V, 3) with one absent person, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, True]])
    rest, steps = torch.randn(4, 2, 1, V, 3, generator=generator), torch.randn(4, 2, 16, V, 3, generator=generator)
    return (rest + 0.1 * steps.cumsum(2)) * mask[:, :, None, None, None], mask


def model_actionlet(backbone, projector, x: torch.Tensor, z_anchor: torch.Tensor):
    """Feature maps (N, M, C, T', V) and actionlets (N, M, T', V) of a method's encoder, the rest in loops."""
    with torch.no_grad():
        h = backbone(x.permute(0, 1, 4, 2, 3).flatten(0, 1)).double().unflatten(0, x.shape[:2]).numpy()
    weights, actionlets = weights_of(projector), []
    for sequence in h:
        gradient = written_out_gradient(weights, sequence.mean((0, 2, 3)), z_anchor[0].double().numpy())
        alpha = np.maximum(gradient, 0) / sequence[:, 0].size
        actionlets.append([plain_actionlet(person, alpha) for person in sequence])
    return h, np.array(actionlets)


# the actionlet

def test_equation_4_gradient_is_the_same_in_every_cell(features, projector):
    """Finite differences over every single entry of h; the closed form of docs/theory.md."""
    h, rows, z_anchor = features
    weights, step = weights_of(projector), 1e-6
    gradient = anchor_gradient(rows.mean(h.mean((2, 3))), projector, 7 * z_anchor).numpy()
    sequence, anchor = h[:M].numpy().copy(), z_anchor[0].numpy()
    for place in [(m, c, t, v) for m in range(M) for c in range(C) for t in range(CELLS) for v in (0, 7, V - 1)]:
        ends = []
        for sign in (1, -1):
            moved = sequence.copy()
            moved[place] += sign * step
            ends.append(minus_cosine(weights, moved.mean((0, 2, 3)), anchor))
        numeric = (ends[0] - ends[1]) / (2 * step)
        assert numeric == pytest.approx(gradient[0, place[1]] / (M * CELLS * V), abs=1e-9)
    for row in range(N):
        pooled = h[M * row:M * row + M].numpy().mean((0, 2, 3))
        np.testing.assert_allclose(gradient[row], written_out_gradient(weights, pooled, anchor), atol=1e-12)
    assert all(parameter.grad is None for parameter in projector.parameters())


def test_equation_4_gradient_keeps_the_length_of_z():
    """Through an identity projector the gradient is orthogonal to z; where z lies on the anchor it is zero."""
    z = torch.randn(4, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    anchor = torch.ones(1, D, dtype=torch.float64)
    gradient = anchor_gradient(z, nn.Identity(), anchor)
    np.testing.assert_allclose((gradient * z).sum(1), np.zeros(4), atol=1e-12)
    assert gradient.abs().sum(1).min() > 0.01
    np.testing.assert_allclose(anchor_gradient(3 * anchor, nn.Identity(), anchor), np.zeros((1, D)), atol=1e-12)


def test_equation_5_function_and_module(features, projector):
    h, _, z_anchor = features
    rows = make_rows(torch.tensor([[True, True], [True, False], [True, True]]))
    gradient = anchor_gradient(rows.mean(h.mean((2, 3))), projector, z_anchor)
    found = actionlet_map(h, rows, gradient, torch.from_numpy(neighbourhood()))
    head = ActionletHead(LAYOUT)(h, rows, projector, z_anchor)
    weights = weights_of(projector)
    for row in range(N * M):
        pooled = h[M * (row // M):M * (row // M) + M].numpy().mean((0, 2, 3))
        alpha = np.maximum(written_out_gradient(weights, pooled, z_anchor[0].numpy()), 0) / (M * CELLS * V)
        expected = plain_actionlet(h[row].numpy(), alpha)
        assert expected.max() > 0
        np.testing.assert_allclose(found[row], expected, atol=1e-12)
        # G is held in float32, and who is absent has no actionlet
        np.testing.assert_allclose(head[row], expected * bool(rows.present[row]), atol=1e-6 * expected.max())


def test_the_scale_of_alpha_is_of_no_consequence(features, projector):
    """Selection and pooling are the same whether alpha is divided by the number of cells or not."""
    h, rows, z_anchor = features
    a = ActionletHead(LAYOUT)(h, rows, projector, z_anchor)
    assert torch.equal(select_region(a), select_region(M * CELLS * V * a))
    torch.testing.assert_close(semantic_aware_pooling(h, a), semantic_aware_pooling(h, M * CELLS * V * a))


# what is done with it

def test_equation_6_motion_adaptive_transformation(model):
    """A * T_act + (1 - A) * T_non, A from T_act by the online encoder."""
    act, mask = joints()
    non = joints(seed=3)[0]
    z_anchor = model.anchor_projection()
    mixed, present, region = model.motion_adaptive_view(
        dict(act=act, non=non), dict(act=mask, non=mask), z_anchor, 'act', 'non')
    model.eval()
    _, actionlets = model_actionlet(model.backbone, model.projector, act, z_anchor)
    for n in range(4):
        for m in range(2):
            a = actionlets[n, m]
            selected = np.array([[float(cell > a.mean()) for cell in row] for row in a]) * bool(mask[n, m])
            up = plain_upsampling(selected, 16)
            np.testing.assert_allclose(region[n, m], up, atol=1e-5)
            for t, v in np.ndindex(16, V):
                expected = up[t, v] * act[n, m, t, v].numpy() + (1 - up[t, v]) * non[n, m, t, v].numpy()
                np.testing.assert_allclose(mixed[n, m, t, v], expected, atol=1e-5)
    assert torch.equal(present, mask) and 0.1 < region[mask].mean() < 0.9


def test_equation_6_selection_and_upsampling_as_functions(features):
    raw = features[0][:, 0].relu()
    region = select_region(raw)
    up = upsample_region(region, 13)
    for row in range(N * M):
        selected = (raw[row].numpy() > raw[row].numpy().mean()).astype(float)
        np.testing.assert_array_equal(region[row], selected)
        np.testing.assert_allclose(up[row], plain_upsampling(selected, 13), atol=1e-12)


def test_equation_6_semantic_aware_pooling(model, features):
    h, raw = features[0], features[0][:, 0].relu()
    raw[2] = 0
    pooled, head = semantic_aware_pooling(h, raw), ActionletHead(LAYOUT).pool(h, raw)
    for row in range(N * M):
        np.testing.assert_allclose(pooled[row], plain_pooling(h[row].numpy(), raw[row].numpy()), atol=1e-12)
        np.testing.assert_allclose(head[row], pooled[row], atol=0)

    x, mask = joints()
    z_anchor = model.anchor_projection()
    model.eval()
    found = model.key(x, mask, z_anchor)
    maps, actionlets = model_actionlet(model.backbone_k, model.projector_k, x, z_anchor)
    for n in range(4):
        persons = [plain_pooling(maps[n, m], actionlets[n, m]) for m in range(2) if mask[n, m]]
        np.testing.assert_allclose(found[n], project(weights_of(model.projector_k), np.mean(persons, 0)), atol=1e-5)


# the losses

def test_equation_10_function_and_module():
    z_q, z_k, memory = projections()
    for tau in (0.07, 0.2):
        expected = 0.0
        for q, k in zip(z_q.numpy(), z_k.numpy(), strict=True):
            positive = math.exp(unit(q) @ unit(k) / tau)
            negatives = sum(math.exp(unit(q) @ m / tau) for m in memory.numpy())
            expected -= math.log(positive / (positive + negatives)) / len(z_q)
        assert info_nce(z_q, z_k, memory, tau).item() == pytest.approx(expected, rel=1e-12)
        assert InfoNCELoss(tau)(z_q, z_k, memory).item() == pytest.approx(expected, rel=1e-12)


def test_equation_11_function_module_and_gradient():
    """The cross-entropy, the entropy of the teacher, and the pull (sum_j (p_q - p_k) m_j) / tau_q on the query."""
    tau_q, tau_k = 0.1, 0.04
    z_q, z_k, memory = projections()
    z_q = F.normalize(z_q, dim=1)
    expected = teacher = 0.0
    pull = []
    for q, k in zip(z_q.numpy(), z_k.numpy(), strict=True):
        p_q = plain_softmax([q @ m / tau_q for m in memory.numpy()])
        p_k = plain_softmax([unit(k) @ m / tau_k for m in memory.numpy()])
        expected -= sum(a * math.log(b) for a, b in zip(p_k, p_q, strict=True)) / len(z_q)
        teacher -= sum(a * math.log(a) for a in p_k) / len(z_q)
        force = sum((b - a) * m for a, b, m in zip(p_k, p_q, memory.numpy(), strict=True)) / tau_q
        pull.append((force - (force @ q) * q) / len(z_q))
    z_q.requires_grad_(True)
    for loss, found in (similarity_mining(z_q, z_k, memory, tau_q, tau_k),
                        SimilarityMiningLoss(tau_q, tau_k)(z_q, z_k, memory)):
        assert loss.item() == pytest.approx(expected, rel=1e-12)
        assert found.item() == pytest.approx(teacher, rel=1e-12)
        np.testing.assert_allclose(torch.autograd.grad(loss, z_q)[0], pull, atol=1e-12)


def test_equation_8_the_limit_is_info_nce_with_the_best_match_as_positive():
    """The gap stays below (|M| - 1) * 2 / tau_q * exp(-margin / tau_k), as docs/theory.md derives."""
    tau_q = 0.1
    z_q, z_k, memory = projections()
    limit, positives = 0.0, []
    for q, k in zip(z_q.numpy(), z_k.numpy(), strict=True):
        matches = [float(unit(k) @ m) for m in memory.numpy()]
        best = matches.index(max(matches))
        positives.append(best)
        limit -= math.log(plain_softmax([unit(q) @ m / tau_q for m in memory.numpy()])[best]) / len(z_q)
    similarities = np.sort(F.normalize(z_k, dim=1).numpy() @ memory.numpy().T)
    margin = float((similarities[:, -1] - similarities[:, -2]).min())

    # the same as Eq. 10 over the memory: the match against all the other keys
    others = [torch.cat([memory[:best], memory[best + 1:]]) for best in positives]
    nce = sum(info_nce(z_q[i:i + 1], memory[best:best + 1], others[i], tau_q) for i, best in enumerate(positives))
    assert (nce / len(z_q)).item() == pytest.approx(limit, rel=1e-12)
    gaps = []
    for tau_k in (0.04, 0.01, 0.002, 0.0005):
        function, _ = similarity_mining(z_q, z_k, memory, tau_q, tau_k)
        module, teacher = SimilarityMiningLoss(tau_q, tau_k)(z_q, z_k, memory)
        assert module.item() == function.item()
        gaps.append(abs(function.item() - limit))
        assert gaps[-1] <= (len(memory) - 1) * 2 / tau_q * math.exp(-margin / tau_k) + 1e-12
    assert gaps[0] > 1e-3 and gaps[-1] < 1e-9 and teacher < 1e-9


# the bound on mutual information; test_information_bound.py shows that it is one

@pytest.mark.parametrize('epoch, source', [(0, 'loss_nce'), (1, 'kl')])
def test_equation_9_in_the_log_is_that_of_the_step(model, epoch, source):
    model.set_progress(0, epoch, 5, 0)
    x, mask = joints()
    batch = model.data_preprocessor(dict(inputs=x, mask=mask, index=torch.arange(4)), True, views=model.view_names())
    losses = {name: value.item() for name, value in model.loss_terms(batch['inputs'], batch['masks'])}
    log = {name: value.item() for name, value in model.log_scalars.items()}
    assert log['mi_bound'] == pytest.approx(math.log(11) - {**losses, **log}[source], abs=1e-5)
    assert log['mi_bound'] <= math.log(11)
    if epoch == 1:
        # the teacher's entropy is what the loss has beyond the divergence
        assert losses['loss_mining'] > log['kl'] >= 0
