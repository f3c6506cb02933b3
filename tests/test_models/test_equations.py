"""Equations of the method, module and function alike, against plain loops in double precision."""
import math

import numpy as np
import pytest
import torch
from torch import nn

from mmactclr.models import ActionletHead, InfoNCELoss, SimilarityMiningLoss
from mmactclr.models.heads import (
    actionlet_map,
    anchor_gradient,
    select_region,
    semantic_aware_pooling,
    upsample_region,
)
from mmactclr.models.losses import info_nce, similarity_mining
from mmactclr.models.persons import fold_persons
from mmactclr.structures import get_layout

N, M, C, CELLS, V, D = 3, 2, 6, 4, 25, 5


@pytest.fixture
def setting():
    """Feature maps of three sequences, one of them with one person, a projector and an anchor, all float64."""
    torch.manual_seed(0)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    rows = fold_persons(torch.zeros(N, M, 1, 1, 3), mask, skip_absent=False)[1]
    projector = nn.Sequential(nn.Linear(C, 7), nn.ReLU(), nn.Linear(7, D)).double()
    return torch.randn(N * M, C, CELLS, V).double(), rows, projector, torch.randn(1, D).double(), mask


def project(projector, pooled):
    """The projector written out."""
    first, last = projector[0], projector[2]
    hidden = [max(0.0, sum(w * x for w, x in zip(row, pooled, strict=True)) + b)
              for row, b in zip(first.weight.tolist(), first.bias.tolist(), strict=True)]
    return [sum(w * x for w, x in zip(row, hidden, strict=True)) + b
            for row, b in zip(last.weight.tolist(), last.bias.tolist(), strict=True)]


def distance(projector, maps, z_anchor):
    """-cos(z, anchor) of one sequence from its dense maps (M, C, T', V), in plain Python."""
    pooled = maps.mean((0, 2, 3)).tolist()
    z, anchor = project(projector, pooled), z_anchor[0].tolist()
    dot = sum(a * b for a, b in zip(z, anchor, strict=True))
    return -dot / math.sqrt(sum(a * a for a in z) * sum(b * b for b in anchor))


# Eq. 4

def test_eq_4_is_the_derivative_by_every_cell(setting):
    """Central differences of the distance by single cells of the dense map; the closed form has one value for all."""
    h, rows, projector, z_anchor, _ = setting
    pooled = rows.mean(h.mean((2, 3)))
    gradient = anchor_gradient(pooled, projector, z_anchor)
    step = 1e-4
    places = [(0, 0, 0, 0, 0), (0, 1, 3, 2, 7), (1, 0, 5, 3, 24), (2, 1, 2, 1, 12)]
    for sequence, person, channel, cell, joint in places:
        maps = h.view(N, M, C, CELLS, V)[sequence].clone()
        values = []
        for sign in (1, -1):
            moved = maps.clone()
            moved[person, channel, cell, joint] += sign * step
            values.append(distance(projector, moved, z_anchor))
        numeric = (values[0] - values[1]) / (2 * step)
        assert gradient[sequence, channel].item() / (M * CELLS * V) == pytest.approx(numeric, rel=1e-5, abs=1e-12)


def test_the_gradient_of_the_cosine_vanishes_at_the_anchor_and_on_an_axis_of_length_one(setting):
    _, _, projector, _, _ = setting
    pooled = torch.randn(1, C).double()
    assert anchor_gradient(pooled, projector, 3 * projector(pooled)).abs().max() < 1e-12
    # what a released version does: it normalises over an axis of size one
    one = nn.Sequential(projector, nn.Linear(D, 1).double())
    assert anchor_gradient(pooled, one, torch.ones(1, 1).double()).abs().max() < 1e-9


# Eq. 5

def by_hand_actionlet(h, gradient, persons):
    layout = get_layout('ntu25')
    graph = np.eye(V)
    for child, parent in layout.bones:
        graph[child, parent] = graph[parent, child] = 1
    graph /= graph.sum(0)
    out = np.zeros((len(h), CELLS, V))
    for p, maps in enumerate(h.numpy()):
        delta = gradient[p // M].numpy() / (persons * CELLS * V)
        for t in range(CELLS):
            raw = [max(0.0, sum(max(0.0, delta[c]) * maps[c, t, v] for c in range(C))) for v in range(V)]
            out[p, t] = [sum(raw[v] * graph[v, w] for v in range(V)) for w in range(V)]
    return out


def test_eq_5_weighs_channels_and_spreads_over_neighbours(setting):
    h, rows, projector, z_anchor, mask = setting
    gradient = anchor_gradient(rows.mean(h.mean((2, 3))), projector, z_anchor)
    expected = by_hand_actionlet(h, gradient, M)
    head = ActionletHead('ntu25').double()
    found = actionlet_map(h, rows, gradient, head.neighbourhood)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-8)
    # the module leaves absent persons out
    expected[~mask.flatten().numpy()] = 0
    np.testing.assert_allclose(head(h, rows, projector, z_anchor).numpy(), expected, atol=1e-8)
    assert found.max() > 0


# Eq. 6 and the pooling of section 3.4

def test_a_view_is_gentle_inside_the_actionlet_and_hard_outside(setting):
    """X' = A T_act(X) + (1 - A) T_non(X) with A from cells to frames, corners aligned."""
    h, rows, projector, z_anchor, _ = setting
    head = ActionletHead('ntu25').double()
    raw = head(h, rows, projector, z_anchor)
    frames = 10
    region = head.region(raw, frames)
    act, non = torch.randn(2, N * M, frames, V, 3).double()
    view = region[..., None] * act + (1 - region[..., None]) * non
    for p in range(N * M):
        mean = sum(raw[p, t, v].item() for t in range(CELLS) for v in range(V)) / (CELLS * V)
        chosen = [[float(raw[p, t, v] > mean) for v in range(V)] for t in range(CELLS)]
        for f in range(frames):
            at = f * (CELLS - 1) / (frames - 1)
            low = min(int(at), CELLS - 2)
            for v in (0, 7, 24):
                a = chosen[low][v] * (1 - (at - low)) + chosen[low + 1][v] * (at - low)
                expected = [a * x + (1 - a) * y for x, y in zip(act[p, f, v], non[p, f, v], strict=True)]
                assert view[p, f, v].tolist() == pytest.approx([float(x) for x in expected])
    torch.testing.assert_close(region, upsample_region(select_region(raw), frames))


def test_pooling_is_the_mean_weighted_by_the_actionlet(setting):
    h, rows, projector, z_anchor, mask = setting
    head = ActionletHead('ntu25').double()
    raw = head(h, rows, projector, z_anchor)
    found = head.pool(h, raw)
    torch.testing.assert_close(found, semantic_aware_pooling(h, raw))
    for p in range(N * M):
        total = float(raw[p].sum())
        for c in range(C):
            if total > 0:
                products = [float(raw[p, t, v]) * float(h[p, c, t, v]) for t in range(CELLS) for v in range(V)]
                expected = sum(products) / total
            else:
                expected = float(h[p, c].mean())
            assert found[p, c].item() == pytest.approx(expected, abs=1e-12)
    assert (raw.sum((1, 2)) == 0).tolist() == (~mask.flatten()).tolist()


# Eq. 10, 11 and 8

def unit(*shape, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()
    return x / x.norm(dim=-1, keepdim=True)


def dots(x, rows):
    return [sum(a * b for a, b in zip(x, row, strict=True)) for row in rows]


def softmax(values):
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize('tau', [0.05, 0.07, 0.5])
def test_eq_10_info_nce(tau):
    z_q, z_k, memory = unit(4, D, seed=1), unit(4, D, seed=2), unit(9, D, seed=3)
    expected = 0.0
    for q, k in zip(z_q.tolist(), z_k.tolist(), strict=True):
        similarities = [dots(q, [k])[0] / tau, *(value / tau for value in dots(q, memory.tolist()))]
        expected -= math.log(softmax(similarities)[0]) / 4
    assert info_nce(z_q, z_k, memory, tau).item() == pytest.approx(expected, rel=1e-10)
    assert InfoNCELoss(tau)(2 * z_q, 3 * z_k, memory).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize('tau_q, tau_k', [(0.1, 0.04), (0.1, 0.1), (0.5, 0.02)])
def test_eq_11_similarity_mining(tau_q, tau_k):
    z_q, z_k, memory = unit(4, D, seed=1), unit(4, D, seed=2), unit(9, D, seed=3)
    loss = entropy = 0.0
    for q, k in zip(z_q.tolist(), z_k.tolist(), strict=True):
        p_q = softmax([value / tau_q for value in dots(q, memory.tolist())])
        p_k = softmax([value / tau_k for value in dots(k, memory.tolist())])
        loss -= sum(a * math.log(b) for a, b in zip(p_k, p_q, strict=True)) / 4
        entropy -= sum(a * math.log(a) for a in p_k) / 4
    for found in (similarity_mining(z_q, z_k, memory, tau_q, tau_k),
                  SimilarityMiningLoss(tau_q, tau_k)(2 * z_q, 3 * z_k, memory)):
        assert [value.item() for value in found] == pytest.approx([loss, entropy], rel=1e-9)


def test_eq_8_a_sharp_teacher_is_info_nce_over_the_memory():
    """The positive is the key's nearest entry of the memory; the teacher's entropy goes with its temperature."""
    z_q, z_k, memory = unit(4, D, seed=1), unit(4, D, seed=2), unit(9, D, seed=3)
    limit = 0.0
    for q, k in zip(z_q.tolist(), z_k.tolist(), strict=True):
        to_key = dots(k, memory.tolist())
        nearest = to_key.index(max(to_key))
        limit -= math.log(softmax([value / 0.1 for value in dots(q, memory.tolist())])[nearest]) / 4
        # as a positive apart from the other keys, the formula of Eq. 10
        others = [row for j, row in enumerate(memory.tolist()) if j != nearest]
        query, others = (torch.tensor(rows, dtype=torch.float64) for rows in ([q], others))
        apart = info_nce(query, memory[[nearest]], others, 0.1)
        assert apart.item() == pytest.approx(-math.log(softmax(
            [value / 0.1 for value in dots(q, memory.tolist())])[nearest]), rel=1e-9)
    found = [similarity_mining(z_q, z_k, memory, 0.1, tau) for tau in (0.1, 0.01, 0.001, 1e-5)]
    gaps = [abs(loss.item() - limit) for loss, _ in found]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-9
    assert found[-1][1].item() < 1e-9 < found[0][1].item()


# Eq. 9: what the losses say about information

def test_the_bound_never_exceeds_the_memory():
    """log|M| - L for a query that is its own key, at any temperature and size."""
    for size in (1, 16, 256):
        z, memory = unit(8, D, seed=1), unit(size, D, seed=size)
        for tau in (0.01, 0.07, 1.0):
            assert math.log(size) - info_nce(z, z, memory, tau).item() < math.log(size)
            loss, entropy = similarity_mining(z, z, memory, tau, tau)
            assert math.log(size) - (loss - entropy).item() <= math.log(size) + 1e-12


@pytest.mark.parametrize('noise', [0.0, 0.3, 0.8])
@pytest.mark.parametrize('size', [15, 255])
def test_the_bound_stays_below_the_true_information(noise, size):
    """Eight symbols on a circle; a key shows the query's symbol, with some probability a random one."""
    symbols, draws = 8, 4000
    generator = torch.Generator().manual_seed(0)
    angle = 2 * math.pi * torch.arange(symbols).double() / symbols
    points = torch.stack([angle.cos(), angle.sin()], 1)
    query = torch.randint(symbols, (draws,), generator=generator)
    swap = torch.rand(draws, generator=generator) < noise
    key = torch.where(swap, torch.randint(symbols, (draws,), generator=generator), query)
    p_same = 1 - noise + noise / symbols
    p_other = noise / symbols
    truth = math.log(symbols) + p_same * math.log(p_same) + (
        (symbols - 1) * p_other * math.log(p_other) if noise else 0.0)
    for tau in (0.1, 0.3, 1.0):
        losses = []
        for i in range(0, draws, 500):
            memory = points[torch.randint(symbols, (size,), generator=generator)]
            losses.append(info_nce(points[query[i:i + 500]], points[key[i:i + 500]], memory, tau).item())
        # the exact statement has the positive among the candidates; the tolerance is the sampling error of the means
        assert math.log(size + 1) - np.mean(losses) <= truth + 0.1
    # with the right temperature it comes near where the memory is large enough
    if noise == 0.0 and size == 255:
        tight = np.mean([info_nce(points[query], points[key], points[torch.randint(
            symbols, (size,), generator=generator)], 0.03).item() for _ in range(20)])
        assert math.log(size + 1) - tight == pytest.approx(truth, abs=0.1)
