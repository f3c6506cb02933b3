"""The bound of Eq. 9 on joint distributions whose mutual information is known; see docs/theory.md."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.models.losses import info_nce, similarity_mining


def entropy(p) -> float:
    return -sum(value * math.log(value) for value in np.ravel(p) if value > 0)


def noisy_channel(classes: int, error: float) -> tuple[np.ndarray, float]:
    """Joint distribution of a uniform class and its copy, wrong with probability ``error``; its information."""
    joint = np.full((classes, classes), error / (classes * (classes - 1)))
    np.fill_diagonal(joint, (1 - error) / classes)
    return joint, 2 * math.log(classes) - entropy(joint)


def expected_info_nce(classes: int, error: float, negatives: int, tau: float) -> float:
    """Exact mean of Eq. 10 over pairs of :func:`noisy_channel` and independent negatives, keys one-hot.

    Only how many of the negatives equal the query matters, which is binomial.
    """
    eye, total = torch.eye(classes, dtype=torch.float64), 0.0
    for equal in range(negatives + 1):
        chance = math.comb(negatives, equal) * (1 / classes) ** equal * (1 - 1 / classes) ** (negatives - equal)
        memory = torch.cat([eye[:1].expand(equal, -1), eye[1:2].expand(negatives - equal, -1)])
        for key, weight in ((0, 1 - error), (1, error)):
            total += chance * weight * info_nce(eye[:1], eye[key:key + 1], memory, tau).item()
    return total


@pytest.mark.parametrize('negatives', [4, 32, 256])
@pytest.mark.parametrize('factor', [0.5, 1.0, 3.0])
def test_equation_9_is_below_the_true_information(negatives, factor):
    """A joint distribution with known I, at the temperature of the true density ratio and away from it."""
    classes, error = 8, 0.1
    joint, information = noisy_channel(classes, error)
    tau = factor / math.log((1 - error) * (classes - 1) / error)
    loss = expected_info_nce(classes, error, negatives, tau)
    assert math.log(negatives) - loss < math.log(negatives + 1) - loss < information
    assert math.log(negatives) - loss < math.log(negatives)
    if factor == 1.0 and negatives == 256:
        # with the true ratio and many negatives nothing is lost
        assert math.log(negatives + 1) - loss == pytest.approx(information, abs=0.02)


def test_equation_9_cannot_show_more_than_the_memory_holds():
    """1000 classes copied without error, 16 keys: I is log 1000, the bound stops at log 16."""
    _, information = noisy_channel(1000, 0.0)
    bound = math.log(16) - expected_info_nce(1000, 0.0, 16, 0.02)
    assert bound < math.log(16) < information and bound == pytest.approx(math.log(16), abs=0.02)


def stage_two(classes: int, error: float, tau_k: float, repeats: tuple[int, ...], tau_q: float = 0.2
              ) -> dict[str, float]:
    """Exact means of stage two over :func:`noisy_channel`, the memory holding class i ``repeats[i]`` times."""
    eye = torch.eye(classes, dtype=torch.float64)
    memory = eye.repeat_interleave(torch.tensor(repeats), 0)
    joint, information = noisy_channel(classes, error)
    marginal, loss, kl = np.zeros(len(memory)), 0.0, 0.0
    for k, q in np.ndindex(classes, classes):
        cross, teacher = similarity_mining(eye[q:q + 1], eye[k:k + 1], memory, tau_q, tau_k)
        loss += joint[k, q] * cross.item()
        kl += joint[k, q] * (cross - teacher).item()
        marginal += joint[k, q] * torch.softmax(memory @ eye[k] / tau_k, 0).numpy()
    return dict(information=information, loss=loss, kl=kl, used=entropy(marginal), log_size=math.log(len(memory)))


@pytest.mark.parametrize('repeats', [(1,) * 6, (3,) * 6, (1, 1, 1, 2, 5, 9)])
@pytest.mark.parametrize('tau_k', [0.02, 0.2, 1.0])
def test_equation_9_in_stage_two_holds_with_the_entropy_of_use(repeats, tau_k):
    """H(mean p_k) - L never exceeds I, whatever the temperature and however unevenly the memory is filled."""
    for error in (0.05, 0.3, 5 / 6):
        found = stage_two(6, error, tau_k, repeats)
        assert found['used'] - found['loss'] <= found['information'] + 1e-12
        assert found['used'] <= found['log_size'] + 1e-12 and found['kl'] >= 0


def test_equation_9_in_stage_two_as_it_is_logged():
    """log|M| - KL is a bound where the teacher is sharp and the memory evenly used, and none where it is blunt."""
    sharp = stage_two(6, 0.05, 0.01, (1,) * 6)
    assert sharp['kl'] == pytest.approx(sharp['loss'], abs=1e-9)
    assert sharp['log_size'] - sharp['kl'] <= sharp['information']
    # nothing in common, yet a blunt teacher whom the student imitates looks like all of log|M|
    blunt = stage_two(6, 5 / 6, 100.0, (1,) * 6, tau_q=100.0)
    assert blunt['information'] == pytest.approx(0, abs=1e-12)
    assert blunt['log_size'] - blunt['kl'] == pytest.approx(math.log(6), abs=1e-3)
    assert blunt['used'] - blunt['loss'] < 1e-12


@pytest.mark.parametrize('tau_k', [0.02, 0.2, 1.0, 100.0])
def test_log_size_minus_the_loss_is_a_bound_where_the_memory_is_evenly_used(tau_k):
    """At every temperature of the teacher, those included at which log|M| - KL is none."""
    for error in (0.05, 0.3, 5 / 6):
        for tau_q in (0.2, tau_k):
            found = stage_two(6, error, tau_k, (2,) * 6, tau_q)
            assert found['used'] == pytest.approx(found['log_size'])
            assert found['log_size'] - found['loss'] <= found['information'] + 1e-12


def test_one_key_that_matches_every_sequence_sits_at_the_ceiling():
    """Independent query and key: no information, yet both numbers show log|M|; the entropy of use shows none."""
    eye = torch.eye(4, dtype=torch.float64)
    views = [3 * eye[0] + eye[1], 3 * eye[0] + eye[2]]
    memory = torch.stack([eye[0]] + 7 * [-eye[0]])
    pairs = [similarity_mining(q[None], k[None], memory, 0.1, 0.01) for q in views for k in views]
    loss, teacher = (sum(values).item() / len(pairs) for values in zip(*pairs, strict=True))
    for number in (loss, loss - teacher):
        assert math.log(len(memory)) - number == pytest.approx(math.log(8), abs=1e-6)
    used = [torch.softmax(F.normalize(k, dim=0) @ memory.t() / 0.01, 0) for k in views]
    assert entropy(sum(used) / len(used)) - loss == pytest.approx(0, abs=1e-6)


def test_keys_that_have_collapsed_sit_at_the_ceiling():
    """All projections equal: KL is zero, the logged number log|M|, the loss log|M| as well."""
    z, memory = torch.ones(3, 4, dtype=torch.float64), torch.full((12, 4), 0.5, dtype=torch.float64)
    loss, teacher = similarity_mining(z, z, memory, 0.1, 0.04)
    assert loss.item() == teacher.item() == pytest.approx(math.log(12))
