"""Retrieval and few-shot accuracy against scikit-learn and plain loops."""
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestCentroid

from mmactclr.errors import ConfigError
from mmactclr.evaluation import FewShotEvaluator, RetrievalEvaluator, class_mean_scores, draw_shots

POINTS = ('backbone',)


def records(seed: int = 0, bank: int = 60, queries: int = 25, classes: int = 4, streams=('',)):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 8, generator=generator)
    found = []
    for i in range(bank + queries):
        label = int(torch.randint(classes, (), generator=generator))
        features = {f'{stream}backbone': centres[label] + torch.randn(8, generator=generator) for stream in streams}
        found.append(dict(role=int(i >= bank), label=label, features=features))
    return found


def evaluate(metric, samples):
    metric.dataset_meta = {'classes': tuple('abcdefgh')}
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def arrays(samples, point='backbone'):
    def part(role):
        chosen = [s for s in samples if s['role'] == role]
        features = torch.stack([s['features'][point] for s in chosen])
        return torch.nn.functional.normalize(features, dim=1).numpy(), np.array([s['label'] for s in chosen])
    return (*part(0), *part(1))


def test_retrieval_against_scikit_learn():
    samples = records()
    found = evaluate(RetrievalEvaluator(), samples)
    bank, bank_labels, queries, labels = arrays(samples)
    similarity = queries @ bank.T
    assert found['retrieval/backbone_r1'] == pytest.approx(
        100 * np.mean(bank_labels[similarity.argmax(1)] == labels))
    rows = zip(labels, similarity, strict=True)
    precision = [average_precision_score(bank_labels == label, row) for label, row in rows]
    assert found['retrieval/backbone_map'] == pytest.approx(100 * np.mean(precision), abs=1e-3)


def test_retrieval_of_streams_sums_their_similarities():
    samples = records(streams=('joint.', 'bone.'))
    found = evaluate(RetrievalEvaluator(fusion=dict(joint=.6, bone=.3)), samples)
    joint, labels_of_bank, joint_queries, labels = arrays(samples, 'joint.backbone')
    bone, _, bone_queries, _ = arrays(samples, 'bone.backbone')
    for variant, weight in (('', .3), ('_equal', .6)):
        similarity = .6 * joint_queries @ joint.T + weight * bone_queries @ bone.T
        right = labels_of_bank[similarity.argmax(1)] == labels
        assert found[f'retrieval/backbone_r1{variant}'] == pytest.approx(100 * right.mean())
    assert 'retrieval/joint.backbone_map' in found


def test_a_query_of_a_class_that_the_bank_lacks_counts_as_wrong_and_has_no_precision():
    samples = records()
    alone = evaluate(RetrievalEvaluator(), samples)
    stranger = dict(role=1, label=7, features={'backbone': torch.ones(8)})
    found = evaluate(RetrievalEvaluator(), [*samples, stranger])
    assert found['retrieval/backbone_map'] == pytest.approx(alone['retrieval/backbone_map'])
    assert found['retrieval/backbone_r1'] == pytest.approx(alone['retrieval/backbone_r1'] * 25 / 26)


def test_draws_are_of_the_asked_size_at_random_and_repeatable():
    labels = torch.tensor([0] * 30 + [1] * 3 + [4] * 10)
    draws = [draw_shots(labels, 5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert labels[draws[0]].bincount().tolist() == [5, 3, 0, 0, 5] and len(draws[0].unique()) == 13
    often = torch.stack([torch.bincount(draw_shots(labels, 5, torch.Generator().manual_seed(s)), minlength=43)
                         for s in range(600)]).float().mean(0)
    assert (often[:30] - 5 / 30).abs().max() < .07 and (often[33:] - .5).abs().max() < .1


def test_class_means_against_scikit_learn():
    bank, labels, queries, _ = arrays(records(3))
    scores = class_mean_scores(torch.tensor(bank), torch.tensor(labels), torch.tensor(queries), 6)
    means = np.stack([bank[labels == k].mean(0) for k in range(4)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    nearest = NearestCentroid().fit(means, np.arange(4)).predict(queries)
    assert np.array_equal(scores.argmax(1), nearest) and (scores[:, 4:] == -1).all()


def test_few_shot_is_the_mean_over_draws():
    samples = records(1)
    found = evaluate(FewShotEvaluator(shots=[1, 3], draws=20), samples)
    assert set(found) == {f'fewshot/backbone_{n}shot{end}' for n in (1, 3) for end in ('', '_ci95')}
    assert found == evaluate(FewShotEvaluator(shots=[1, 3], draws=20), samples)
    assert found['fewshot/backbone_3shot'] > found['fewshot/backbone_1shot']
    one = [evaluate(FewShotEvaluator(shots=3, draws=1, seed=seed), samples)['fewshot/backbone_3shot']
           for seed in range(40)]
    # the mean of other draws lies within the interval (three times it, lest chance decide)
    wide = 3 * (found['fewshot/backbone_3shot_ci95'] + 1.96 * np.std(one) / np.sqrt(40))
    assert abs(np.mean(one) - found['fewshot/backbone_3shot']) < wide
    spread = found['fewshot/backbone_3shot_ci95'] * np.sqrt(20) / 1.96
    assert .4 < spread / np.std(one) < 2.5


def test_all_labels_is_one_number_whatever_the_draw():
    samples = records(2)
    found = evaluate(FewShotEvaluator(shots=1000, draws=3), samples)
    assert found['fewshot/backbone_1000shot_ci95'] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize('wrong', [dict(shots=[]), dict(shots=0), dict(draws=0)])
def test_wrong_numbers(wrong):
    with pytest.raises(ConfigError, match='from 1 up'):
        FewShotEvaluator(**wrong)
