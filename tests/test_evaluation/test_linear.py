"""The linear probe against what is separable and against logistic regression solved to the end."""

import pytest
import torch
import torch.nn.functional as F

from mmactclr.errors import ConfigError
from mmactclr.evaluation import LinearEvaluator, linear_probe
from mmactclr.evaluation.features import FeatureSplit, top1


def clusters(n: int, noise: float, seed: int = 0, classes: int = 4, width: int = 8):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(classes, width)
    labels = torch.arange(n) % classes
    return centres[labels] + noise * torch.randn(n, width, generator=generator), labels


def logistic_regression(features, labels, classes: int):
    """Maximum likelihood in float64 by Newton-like steps; (D + 1, K) weights, bias last."""
    x = F.pad(features.double(), (0, 1), value=1.0)
    weight = torch.zeros(x.shape[1], classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight], max_iter=500, tolerance_grad=1e-9, line_search_fn='strong_wolfe'
    )

    def loss():
        solver.zero_grad()
        value = F.cross_entropy(x @ weight, labels)
        value.backward()
        return value

    solver.step(loss)
    return weight.detach()


def accuracy(logits, labels) -> float:
    return (logits.argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize('scale, standardize', [(1.0, False), (1.0, True), (1e4, True)])
def test_separable_classes_are_separated(scale, standardize):
    features, labels = clusters(80, 0.05)
    probe = linear_probe(scale * features, labels, 4, lr=0.3, standardize=standardize)
    assert accuracy(probe(scale * features), labels) == 1.0


def test_overlapping_classes_reach_the_maximum_likelihood():
    features, labels = clusters(1200, 0.45)
    queries, truth = clusters(2000, 0.45, seed=1)
    weight = logistic_regression(features, labels, 4)
    best = accuracy(F.pad(queries.double(), (0, 1), value=1.0) @ weight, truth)
    found = accuracy(
        linear_probe(features, labels, 4, epochs=30, lr=0.3, milestone=20)(queries), truth
    )
    assert 0.5 < best < 0.95
    assert found == pytest.approx(best, abs=0.015)


def test_the_seed_decides_and_the_global_state_is_left_alone():
    features, labels = clusters(100, 0.4)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    probes = [linear_probe(features, labels, 4, epochs=2, lr=0.1, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected)
    logits = [probe(features) for probe in probes]
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])


def test_the_recipe_has_no_weight_decay_and_drops_its_rate():
    """One class alone: without decay the weights only grow, after the milestone slowly."""
    features, labels = torch.ones(16, 3), torch.zeros(16, dtype=torch.long)
    short, long = (
        linear_probe(features, labels, 2, epochs=n, lr=1.0, milestone=1000)[1].weight
        for n in (3, 60)
    )
    assert (long[0] - long[1]).sum() > (short[0] - short[1]).sum() > 0
    late = linear_probe(features, labels, 2, epochs=60, lr=1.0, milestone=3)[1].weight
    assert (long[0] - long[1]).sum() > (late[0] - late[1]).sum() > (short[0] - short[1]).sum()


def test_a_constant_feature_survives_standardisation():
    features, labels = clusters(40, 0.05)
    features[:, -1] = 7.0
    probe = linear_probe(features, labels, 4, lr=0.3, standardize=True)
    assert accuracy(probe(features), labels) == 1.0


def test_a_feature_that_only_the_test_moves_does_not_drown_the_others():
    features, labels = clusters(40, 0.05)
    features[:, -1] = 0.0
    probe = linear_probe(features, labels, 4, lr=0.3, standardize=True)
    features[:, -1] = 0.1
    assert accuracy(probe(features), labels) == 1.0


def test_the_probe_runs_where_gradients_are_switched_off():
    features, labels = clusters(40, 0.05)
    with torch.no_grad():
        probe = linear_probe(features, labels, 4, epochs=20, lr=0.3)
    assert accuracy(probe(features), labels) == 1.0
    assert not any(parameter.requires_grad for parameter in probe.parameters())


def test_the_evaluator_scores_classes_that_only_the_test_has():
    """A class without a training sequence cannot be found, and must not end in an index error."""
    features, labels = clusters(40, 0.05)
    seen = labels < 3
    split = FeatureSplit(features[seen], labels[seen], features, labels)
    assert top1(LinearEvaluator(lr=0.3).class_scores(split)['top1'], split.query_labels) == 75.0


@pytest.mark.parametrize('role', [0, 1])
def test_both_roles_are_needed(role):
    metric = LinearEvaluator()
    samples = [dict(role=role, label=0, features={'backbone': torch.ones(2)})] * 3
    metric.process(None, samples)
    with pytest.raises(ConfigError, match="LinearEvaluator.*subset='both'"):
        metric.evaluate(len(samples))
