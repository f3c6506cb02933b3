"""Logistic regression against another solver and the conditions of its optimum."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
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
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_a_class_that_never_occurs_a_constant_feature_and_separable_data(data):
    features, labels = data
    features[:, 3] = 7.0
    features[:, 0] = labels * 100.0
    classifier = logistic_regression(features, labels, 5)
    scores = classifier(features)
    assert scores.shape == (90, 5) and torch.isfinite(scores).all()
    assert torch.equal(scores.argmax(1), labels)


def stationarity(classifier, features, labels, c: float = 1.0) -> float:
    """Largest entry of the gradient of the objective in float64, zero at the optimum alone."""
    x = classifier[0](features.double())
    weight, bias = classifier[1].weight, classifier[1].bias
    error = torch.softmax(x @ weight.t() + bias, 1) - F.one_hot(labels, len(bias))
    return max((error.t() @ x + weight / c).abs().max().item(), error.sum(0).abs().max().item())


@pytest.mark.parametrize('c', [0.01, 1.0, 100.0])
@pytest.mark.parametrize('joints, noise', [(100, 1e-3), (100, 1.0), (3, 0.1), (1, 0.1)])
def test_it_stops_at_the_optimum_however_alike_the_features_are(joints, noise, c):
    """Smooth walks, more features than sequences: directions differ in length by a factor of hundreds."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(60) % 4
    walk = torch.randn(60, joints, 20, generator=generator).cumsum(2).flatten(1)
    features = walk + labels[:, None] + noise * torch.randn(walk.shape, generator=generator)
    classifier = logistic_regression(features, labels, 4, c)
    assert stationarity(classifier, features, labels, c) < 1e-5


def test_it_stops_at_the_optimum_on_real_coordinates(real_data_dir):
    """Every third frame of the first forty: neighbours in time and space hardly differ."""
    with np.load(real_data_dir / 'utd_mhad.npz', allow_pickle=False) as data:
        frames, start = data['keypoint'][:, 0], data['offsets'][:-1]
        train, labels = data['split_xsub'] == 'train', torch.from_numpy(data['label']).long()
        coordinates = np.stack([frames[first:first + 40:3].ravel() for first in start[train]])
    features, labels = torch.from_numpy(coordinates), labels[torch.from_numpy(train)]
    assert stationarity(logistic_regression(features, labels, 27), features, labels) < 2e-5


def test_who_cannot_reach_the_optimum_says_so(data, monkeypatch):
    monkeypatch.setattr('mmactclr.evaluation.logistic._MAX_ITERATIONS', 3)
    said = []
    monkeypatch.setattr('mmactclr.evaluation.logistic.print_log', lambda text, **_: said.append(text))
    logistic_regression(*data, 3)
    assert len(said) == 1 and 'stopped short of its optimum' in said[0] and 'after 3 steps' in said[0]


def test_it_repeats_itself_and_needs_no_random_state(data):
    a = logistic_regression(*data, 3)(data[0])
    torch.manual_seed(5)
    assert torch.equal(a, logistic_regression(*data, 3)(data[0]))


@pytest.mark.parametrize('c', [0, -1.0])
def test_the_penalty_is_checked(c):
    with pytest.raises(ConfigError, match='c is'):
        LogisticEvaluator(c=c)
