"""Losses against golden numbers, float64 formulas and limits."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError
from mmactclr.models.losses import InfoNCELoss, SimilarityMiningLoss, info_nce, similarity_mining


@pytest.fixture
def golden(golden_dir):
    loaded = np.load(golden_dir / 'losses.npz', allow_pickle=False)
    return {key: torch.from_numpy(loaded[key]) for key in loaded.files}


def test_info_nce_meets_the_golden_numbers(golden):
    for tau, expected in zip(golden['info_nce_tau'], golden['info_nce'], strict=True):
        loss = InfoNCELoss(float(tau))(golden['z_q'], golden['z_k'], golden['memory'])
        assert abs(loss - expected) < 1e-6


def test_similarity_mining_meets_the_golden_numbers(golden):
    for (tau_q, tau_k), expected in zip(golden['similarity_mining_tau'], golden['similarity_mining'], strict=True):
        loss, _ = SimilarityMiningLoss(float(tau_q), float(tau_k))(golden['z_q'], golden['z_k'], golden['memory'])
        assert abs(loss - expected) < 1e-6


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_info_nce_is_cross_entropy_over_positive_and_memory():
    torch.manual_seed(0)
    z_q, z_k, memory = unit(5, 8), unit(5, 8), unit(11, 8)
    logits = torch.stack([torch.cat([(q @ k)[None], memory @ q]) for q, k in zip(z_q, z_k, strict=True)]) / 0.2
    expected = F.cross_entropy(logits, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(info_nce(3 * z_q, 2 * z_k, memory, 0.2), expected)


def test_mining_tends_to_info_nce_over_the_memory_as_the_teacher_sharpens():
    """Eq. 8: with tau_k -> 0 the teacher is the nearest memory entry, the positive of an InfoNCE."""
    torch.manual_seed(0)
    z_q, z_k, memory = unit(6, 8), unit(6, 8), unit(20, 8)
    nearest = (z_k @ memory.t()).argmax(1)
    limit = F.cross_entropy(z_q @ memory.t() / 0.1, nearest)
    gaps = [abs(similarity_mining(z_q, z_k, memory, 0.1, tau)[0] - limit) for tau in (1e-1, 1e-2, 1e-4)]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-6


def test_entropy_makes_the_loss_a_divergence():
    torch.manual_seed(0)
    z, memory = unit(4, 8), unit(9, 8)
    loss, entropy = similarity_mining(z, z, memory, 0.04, 0.04)
    torch.testing.assert_close(loss, entropy)
    other, entropy = similarity_mining(unit(4, 8), z, memory, 0.04, 0.04)
    assert other > entropy


@pytest.mark.parametrize('loss', ['nce', 'mining'])
def test_gradient_reaches_the_query_alone(loss):
    z_q, z_k, memory = (unit(4, 8).requires_grad_(True) for _ in range(3))
    memory = memory.detach()
    value = info_nce(z_q, z_k, memory, 0.1) if loss == 'nce' else similarity_mining(z_q, z_k, memory, 0.1, 0.04)[0]
    value.backward()
    assert z_q.grad.abs().sum() > 0 and z_k.grad is None


def test_an_empty_memory_costs_nothing():
    z_q, z_k, memory = unit(4, 8).requires_grad_(True), unit(4, 8), torch.zeros(0, 8, dtype=torch.float64)
    assert info_nce(z_q, z_k, memory, 0.1) == 0
    loss, entropy = similarity_mining(z_q, z_k, memory, 0.1, 0.04)
    loss.backward()
    assert loss == 0 and entropy == 0


@pytest.mark.parametrize('squared, ceiling, top_k', [
    (True, None, None), (False, 0.5, None), (False, None, 7), (True, 0.5, 7), (False, None, 100)])
def test_switches_of_the_release_against_plain_loops(squared, ceiling, top_k):
    torch.manual_seed(1)
    z_q, z_k, memory = unit(5, 4), unit(5, 4), unit(30, 4)
    expected = kl = 0.0
    for q, k in zip(z_q.numpy(), z_k.numpy(), strict=True):
        teacher, student = memory.numpy() @ k, memory.numpy() @ q
        if ceiling is not None:
            assert (teacher > ceiling).any()
            teacher = np.where(teacher > ceiling, -1, teacher)
        chosen = np.argsort(-teacher)[:top_k]
        teacher, student = teacher[chosen], student[chosen]
        p = np.exp(teacher / 0.04) / np.exp(teacher / 0.04).sum()
        student = (student ** 2 if squared else student) / 0.1
        log_q = student - np.log(np.exp(student).sum())
        expected += -(p * log_q).sum() / 5
        kl += (p * (np.log(p) - log_q)).sum() / 5
    loss, entropy = SimilarityMiningLoss(0.1, 0.04, squared, ceiling, top_k)(z_q, z_k, memory)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert (loss - entropy).item() == pytest.approx(kl, rel=1e-9)


def test_divergence_and_cross_entropy_pull_alike():
    """H(p_k) has no gradient, so the release's KL divergence trains as Eq. 11 does."""
    torch.manual_seed(0)
    z_q, z_k, memory = unit(4, 8).requires_grad_(True), unit(4, 8), unit(9, 8)
    loss, entropy = similarity_mining(z_q, z_k, memory, 0.1, 0.04)
    (a,), (b,) = (torch.autograd.grad(value, z_q, retain_graph=True) for value in (loss, loss - entropy))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize('argument', ['tau_q', 'tau_k', 'top_k'])
def test_arguments_out_of_range_are_named(argument):
    with pytest.raises(ConfigError, match=f'{argument} is 0'):
        SimilarityMiningLoss(**{argument: 0})


@pytest.mark.parametrize('temperature', [0, -.1, float('nan')])
def test_a_temperature_of_infonce_that_cannot_be_is_named(temperature):
    with pytest.raises(ConfigError, match='InfoNCELoss: temperature is'):
        InfoNCELoss(temperature)
