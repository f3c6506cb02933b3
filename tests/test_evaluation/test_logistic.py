"""Logistic regression against another solver and the conditions of its optimum."""
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmactclr.errors import ConfigError
from mmactclr.evaluation import LogisticEvaluator, logistic_regression


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    features = torch.randn(90, 4, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 1.0]) + 5
    features[:, 0] += labels
    return features, labels


@pytest.mark.parametrize('c', [0.1, 1.0, 100.0])
def test_the_optimum_is_that_of_another_solver(data, c):
    features, labels = data
    x = features.double().numpy()
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    y = labels.numpy()

    def objective(flat):
        weight, bias = flat[:12].reshape(3, 4), flat[12:]
        logits = x @ weight.T + bias
        log_sum = np.log(np.exp(logits).sum(1))
        return (log_sum - logits[np.arange(90), y]).sum() + (weight ** 2).sum() / (2 * c)

    best = minimize(objective, np.zeros(15), method='BFGS', options=dict(gtol=1e-8)).x
    logits = x @ best[:12].reshape(3, 4).T + best[12:]
    expected = logits - logits.mean(1, keepdims=True)
    found = logistic_regression(features, labels, 3, c)(features)
    found = found - found.mean(1, keepdim=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_a_class_that_never_occurs_a_constant_feature_and_separable_data(data):
    features, labels = data
    features[:, 3] = 7.0
    features[:, 0] = labels * 100.0
    classifier = logistic_regression(features, labels, 5)
    scores = classifier(features)
    assert scores.shape == (90, 5) and torch.isfinite(scores).all()
    assert torch.equal(scores.argmax(1), labels)


def test_it_repeats_itself_and_needs_no_random_state(data):
    a = logistic_regression(*data, 3)(data[0])
    torch.manual_seed(5)
    assert torch.equal(a, logistic_regression(*data, 3)(data[0]))


@pytest.mark.parametrize('c', [0, -1.0])
def test_the_penalty_is_checked(c):
    with pytest.raises(ConfigError, match='c is'):
        LogisticEvaluator(c=c)
