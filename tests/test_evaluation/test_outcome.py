"""What evaluators keep beside their numbers, against scikit-learn and by hand."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from sklearn import metrics as reference

from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation import ClassificationEvaluator, Outcome
from mmactclr.evaluation.outcome import vote_shares
from mmactclr.registry import METRICS

CLASSES = ('walk', 'sit', 'throw')


def feature_records(roles: list[int], labels: list[int], dim: int = 4, streams: tuple[str, ...] = ()) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    names = [f'{stream}.backbone' for stream in streams] or ['backbone']
    return [{'role': role, 'label': label, 'features': {
        name: torch.randn(dim, generator=generator) + torch.eye(dim)[label % dim] for name in names}}
        for role, label in zip(roles, labels, strict=True)]


def test_the_summary_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = torch.from_numpy(rng.dirichlet(np.ones(3), 200))
    truth = torch.from_numpy(rng.integers(0, 3, 200))
    outcome = Outcome.of(truth, probabilities, CLASSES)
    predicted = probabilities.argmax(1)
    assert np.array_equal(outcome.confusion, reference.confusion_matrix(truth, predicted))
    recall = reference.recall_score(truth, predicted, average=None)
    assert list(outcome.class_accuracy.values()) == pytest.approx(list(100 * recall))
    summary = outcome.summary()
    assert summary['mean_class_accuracy'] == pytest.approx(
        100 * reference.balanced_accuracy_score(truth, predicted))


def test_classes_that_scores_or_truth_lack_have_a_place():
    outcome = Outcome.of(torch.tensor([0, 3]), torch.tensor([[.9, .1], [.6, .4]]), CLASSES)
    assert outcome.classes == (*CLASSES, 'class_3') and outcome.probabilities.shape == (2, 4)
    assert outcome.class_accuracy == {'walk': 100., 'class_3': 0.}
    assert outcome.confusion.tolist() == [[1, 0, 0, 0], [0] * 4, [0] * 4, [1, 0, 0, 0]]


def test_shares_of_a_vote_add_up_to_one():
    shares = vote_shares(torch.tensor([[1., 3.], [0., 0.]]))
    assert shares.tolist() == [[.25, .75], [0, 0]]


@pytest.mark.parametrize('streams', [(), ('joint', 'bone')])
@pytest.mark.parametrize('name', ['KNNEvaluator', 'LinearEvaluator', 'LogisticEvaluator'])
def test_classifiers_of_features_keep_probabilities_of_what_was_fused(name, streams):
    evaluator = METRICS.build(dict(type=name))
    evaluator.dataset_meta = dict(classes=CLASSES)
    labels = [0, 1, 2] * 10
    metrics = evaluator.compute_metrics(feature_records([0] * 20 + [1] * 10, labels, streams=streams))
    assert len(evaluator.outcomes) == 1
    variant, outcome = next(iter(evaluator.outcomes.items()))
    assert outcome.truth.tolist() == labels[20:] and outcome.classes == CLASSES
    assert torch.allclose(outcome.probabilities.sum(1), torch.ones(()).to(outcome.probabilities))
    accuracy = 100 * (outcome.probabilities.argmax(1) == outcome.truth).double().mean().item()
    assert metrics[variant] == pytest.approx(accuracy, rel=1e-6)


@pytest.mark.parametrize('name', ['FewShotEvaluator', 'RetrievalEvaluator'])
def test_draws_and_rankings_have_none(name):
    evaluator = METRICS.build(dict(type=name))
    assert evaluator.compute_metrics(feature_records([0] * 20 + [1] * 10, [0, 1, 2] * 10))
    assert evaluator.outcomes == {}


def classify(samples: list[tuple[int, dict[str, list[float]]]]) -> tuple[BaseMetric, dict]:
    evaluator = ClassificationEvaluator(topk=(1, 2))
    evaluator.dataset_meta = dict(classes=CLASSES)
    evaluator.process(None, [dict(
        role=1, label=label, pred_score=torch.tensor(features['score']),
        features={name: torch.tensor(value) for name, value in features.items()}) for label, features in samples])
    return evaluator, evaluator.compute_metrics(evaluator.results)


def test_a_classifier_of_streams_is_measured_whole_one_by_one_and_with_equal_weights():
    # the joint stream is right about both, the bone stream louder and wrong; the model fuses joint alone
    samples = [(0, {'score': [2., 1., 0.], 'joint.score': [2., 1., 0.], 'bone.score': [0., 9., 0.], 'backbone': [0.]}),
               (1, {'score': [1., 2., 0.], 'joint.score': [1., 2., 0.], 'bone.score': [8., 0., 3.], 'backbone': [0.]})]
    _, metrics = classify(samples)
    assert metrics == {'top1': 100., 'top2': 100., 'joint.top1': 100., 'joint.top2': 100., 'bone.top1': 0.,
                       'bone.top2': 50., 'top1_equal': 0., 'top2_equal': 50.}


def test_sequences_without_a_label_do_not_count_as_right_or_wrong(capfd):
    # both unlabelled ones would count as right, were their label a class
    samples = [(-1, {'score': [9., 1., 0.]}), (1, {'score': [9., 1., 0.]}), (0, {'score': [9., 1., 0.]}),
               (-1, {'score': [0., 1., 9.]})]
    evaluator, metrics = classify(samples)
    assert metrics['top1'] == 50. and metrics['top2'] == 100.
    assert len(evaluator.outcomes['score'].truth) == 2
    evaluator, metrics = classify(samples[:1])
    assert metrics == {} and evaluator.outcomes == {}


def test_the_best_of_all_classes_is_no_number():
    _, metrics = classify([(0, {'score': [2., 1., 0.]})])
    assert set(metrics) == {'top1', 'top2'}
    evaluator = ClassificationEvaluator(topk=(1, 3))
    evaluator.dataset_meta = dict(classes=CLASSES)
    evaluator.process(None, [dict(role=1, label=0, pred_score=torch.tensor([0., 1., 2.]))])
    assert evaluator.compute_metrics(evaluator.results) == {'top1': 0.}


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_scores_and_features_that_are_no_numbers_are_refused(bad):
    with pytest.raises(DataError, match='1 of 2 have numbers that are not finite'):
        classify([(0, {'score': [bad, 1., 0.]}), (1, {'score': [0., 1., 0.]})])
    records = feature_records([0] * 20 + [1] * 10, [0, 1, 2] * 10)
    records[3]['features']['backbone'][1] = bad
    with pytest.raises(DataError, match='KNNEvaluator, backbone: 1 of 30'):
        METRICS.build(dict(type='KNNEvaluator')).compute_metrics(records)


def test_maps_are_no_features():
    records = feature_records([0] * 2 + [1], [0, 1, 2])
    for record in records:
        record['features']['backbone'] = record['features']['backbone'][:, None].expand(-1, 7)
    with pytest.raises(ConfigError, match=r'has the shape \(4, 7\), expected one vector'):
        METRICS.build(dict(type='KNNEvaluator')).compute_metrics(records)


def test_a_bank_of_fewer_than_k_votes_as_a_whole_and_says_so(monkeypatch):
    said = []
    monkeypatch.setattr('mmactclr.evaluation.knn.print_log', lambda text, **_: said.append(text))
    evaluator = METRICS.build(dict(type='KNNEvaluator', k=20))
    evaluator.compute_metrics(feature_records([0] * 5 + [1], [0, 1, 2] * 2))
    assert len(said) == 1 and 'has 5 sequences, of which all vote' in said[0]


def test_rankings_without_a_class_in_common_have_no_precision():
    evaluator = METRICS.build(dict(type='RetrievalEvaluator'))
    assert evaluator.compute_metrics(feature_records([0, 0, 1], [0, 1, 2])) == {'backbone_r1': 0.}
