"""kNN against a plain loop in float64."""

import math

import pytest
import torch

from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation import KNNEvaluator, knn_predict


def by_hand(bank, labels, query, k, temperature) -> list[int]:
    """Predictions of one query at a time, with Python lists."""

    def unit(vector):
        length = math.sqrt(sum(x * x for x in vector))
        return [x / length for x in vector]

    bank = [unit(row) for row in bank.double().tolist()]
    out = []
    for row in map(unit, query.double().tolist()):
        near = sorted(
            (
                (sum(a * b for a, b in zip(row, other, strict=True)), label)
                for other, label in zip(bank, labels.tolist(), strict=True)
            ),
            reverse=True,
        )[:k]
        votes: dict[int, float] = {}
        for similarity, label in near:
            votes[label] = votes.get(label, 0.0) + math.exp(similarity / temperature)
        out.append(max(votes, key=votes.get))
    return out


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(4, 6, generator=generator)
    labels = torch.arange(60) % 4
    # lengths differ by a factor of ten, so that cosine and Euclidean neighbours are not the same
    spread = 0.1 + torch.rand(60, 1, generator=generator) * 3
    bank = (centres[labels] + torch.randn(60, 6, generator=generator)) * spread
    return bank, labels, torch.randn(23, 6, generator=generator)


@pytest.mark.parametrize('k', [1, 5, 20, 200])
@pytest.mark.parametrize('temperature', [0.07, 0.1, 1.0])
def test_votes_as_a_plain_loop(points, k, temperature):
    bank, labels, queries = points
    assert knn_predict(bank, labels, queries, k, temperature).tolist() == by_hand(
        bank, labels, queries, k, temperature
    )


def test_neighbours_differ_from_a_majority_without_weights(points):
    """At a low temperature the vote is that of the nearest, whatever k."""
    bank, labels, queries = points
    nearest = knn_predict(bank, labels, queries, 1)
    assert torch.equal(knn_predict(bank, labels, queries, 60, temperature=0.001), nearest)
    assert not torch.equal(knn_predict(bank, labels, queries, 60, temperature=10.0), nearest)


@pytest.mark.parametrize('chunk', [1, 7, 23, 1000])
def test_chunks_do_not_matter(points, chunk):
    bank, labels, queries = points
    assert torch.equal(
        knn_predict(bank, labels, queries, chunk=chunk), knn_predict(bank, labels, queries)
    )


def records(points, test_labels):
    bank, labels, queries = points
    samples = [
        dict(role=0, label=int(label), features={'backbone': row})
        for row, label in zip(bank, labels, strict=True)
    ]
    return samples + [
        dict(role=1, label=int(label), features={'backbone': row})
        for row, label in zip(queries, test_labels, strict=True)
    ]


def test_the_evaluator_splits_by_role_whatever_the_order(points):
    bank, labels, queries = points
    truth = torch.arange(len(queries)) % 4
    expected = [
        100
        * sum(
            a == b
            for a, b in zip(by_hand(bank, labels, queries, k, 0.1), truth.tolist(), strict=True)
        )
        / len(queries)
        for k in (1, 20)
    ]
    samples = records(points, truth)
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0)).tolist()
    for chosen in (range(len(samples)), order):
        metric = KNNEvaluator(k=[1, 20], points=['backbone', 'projection'])
        metric.process(None, [samples[i] for i in chosen])
        found = metric.evaluate(len(samples))
        assert list(found) == ['knn/backbone_k1', 'knn/backbone_k20']
        assert list(found.values()) == pytest.approx(expected)


@pytest.mark.parametrize('role', [0, 1])
def test_both_roles_are_needed(points, role):
    metric = KNNEvaluator()
    samples = [sample for sample in records(points, torch.zeros(23)) if sample['role'] == role]
    metric.process(None, samples)
    with pytest.raises(ConfigError, match="training and .* test sequences.*subset='both'"):
        metric.evaluate(len(samples))


def test_a_feature_point_that_no_model_offers_is_named(points):
    metric = KNNEvaluator(points=['neck'])
    samples = records(points, torch.zeros(23))
    metric.process(None, samples)
    with pytest.raises(ConfigError, match='neck'):
        metric.evaluate(len(samples))


@pytest.mark.parametrize('k', [[], [0], [20, -1], 0, [2.5], 'all'])
def test_numbers_of_neighbours_are_checked(k):
    with pytest.raises(ConfigError, match='k is'):
        KNNEvaluator(k=k)


def test_a_single_number_and_a_single_point_need_no_list():
    protocol = KNNEvaluator(k=20, points='projection').protocol
    assert protocol['k'] == [20] and protocol['points'] == ['projection']


def test_data_without_labels_are_refused_before_anything_runs():
    evaluator = KNNEvaluator()
    with pytest.raises(DataError, match='no sequence has a `label`.*val_dataloader=None val_cfg=None'):
        evaluator.dataset_meta = dict(classes=(), split='xsub')
    evaluator.dataset_meta = dict(classes=('wave',))
    assert evaluator.dataset_meta == dict(classes=('wave',))


def test_a_sequence_without_a_label_is_refused():
    records = [dict(role=i % 2, label=label, features={}) for i, label in enumerate((0, 0, -1))]
    with pytest.raises(DataError, match='1 of 3 sequences do not have a `label`'):
        KNNEvaluator().compute_metrics(records)
