"""Metrics against scikit-learn, plain loops and cases with an answer by hand."""
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from mmactclr.errors import DataError
from mmactclr.evaluation.metrics import (
    accuracy,
    average_precision,
    calibration_error,
    class_accuracy,
    class_iou,
    confusion_matrix,
    cosine_similarity,
    frequency_weighted_iou,
    mean_class_accuracy,
    mean_iou,
)


def random_labels(case: str, num: int = 200, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(len(case))
    truth, prediction = rng.integers(0, classes, num), rng.integers(0, classes, num)
    prediction = np.where(rng.random(num) < .5, truth, prediction)
    if case == 'absent class':
        truth[truth == 2] = 3
    elif case == 'absent in both':
        truth[truth == 4], prediction[prediction == 4] = 0, 1
    elif case == 'one label':
        truth[:] = 5
    elif case == 'one predicted':
        prediction[:] = 0
    elif case == 'one frame':
        truth, prediction = truth[:1], prediction[:1]
    return truth, prediction


CASES = ['random', 'absent class', 'absent in both', 'one label', 'one predicted', 'one frame']


@pytest.mark.parametrize('case', CASES)
def test_against_scikit_learn(case):
    truth, prediction = random_labels(case)
    found = confusion_matrix(torch.tensor(truth), torch.tensor(prediction), 6)
    assert np.array_equal(found, reference.confusion_matrix(truth, prediction, labels=range(6)))
    assert accuracy(found) == pytest.approx(reference.accuracy_score(truth, prediction))
    present = np.unique(truth)
    recall = reference.recall_score(truth, prediction, labels=present, average=None, zero_division=0)
    assert class_accuracy(found)[present].numpy() == pytest.approx(recall)
    assert class_accuracy(found).isnan().sum() == 6 - len(present)
    assert mean_class_accuracy(found) == pytest.approx(recall.mean())
    either = np.union1d(truth, prediction)
    iou = reference.jaccard_score(truth, prediction, labels=either, average=None, zero_division=0)
    assert class_iou(found)[either].numpy() == pytest.approx(iou)
    assert mean_iou(found) == pytest.approx(iou.mean())
    weighted = reference.jaccard_score(truth, prediction, average='weighted', zero_division=0)
    assert frequency_weighted_iou(found) == pytest.approx(weighted)


def test_labels_out_of_range_are_named():
    with pytest.raises(DataError, match='prediction has labels from 0 to 6, expected 0 to 5'):
        confusion_matrix(torch.tensor([0, 1]), torch.tensor([0, 6]), 6)
    with pytest.raises(DataError, match='truth has labels from -1'):
        confusion_matrix(torch.tensor([0, -1]), torch.tensor([0, 1]), 6)
    with pytest.raises(DataError, match='shape'):
        confusion_matrix(torch.tensor([0]), torch.tensor([0, 1]), 6)
    assert math.isnan(accuracy(confusion_matrix(torch.tensor([], dtype=torch.long), torch.tensor([]), 6)))


@pytest.mark.parametrize('seed', range(5))
def test_average_precision_against_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randn(20, 50, generator=generator)
    relevant = torch.rand(20, 50, generator=generator) < .2
    relevant[0], relevant[1] = False, True
    found = average_precision(similarity, relevant)
    assert math.isnan(found[0]) and found[1] == 1
    for i in range(1, 20):
        assert found[i].item() == pytest.approx(reference.average_precision_score(relevant[i], similarity[i]), abs=1e-6)


def test_average_precision_by_hand():
    found = average_precision(torch.tensor([[.9, .8, .7, .6]]), torch.tensor([[True, False, True, False]]))
    assert found.item() == pytest.approx((1 + 2 / 3) / 2)


def test_cosine_similarity_against_scikit_learn():
    from sklearn.metrics.pairwise import cosine_similarity as expected
    queries, bank = torch.randn(7, 5, dtype=torch.float64), torch.randn(9, 5, dtype=torch.float64)
    assert np.allclose(cosine_similarity(queries, bank), expected(queries, bank))


@pytest.mark.parametrize('classes', [2, 10])
def test_calibration_error_against_a_plain_loop(classes):
    generator = torch.Generator().manual_seed(classes)
    probabilities = (3 * torch.randn(500, classes, generator=generator)).softmax(1)
    labels = torch.randint(classes, (500,), generator=generator)
    expected = 0.
    for b in range(15):
        rows = zip(probabilities, labels, strict=True)
        inside = [(p.max().item(), int(p.argmax()) == int(label)) for p, label in rows
                  if b / 15 < p.max().item() <= (b + 1) / 15]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            right = sum(r for _, r in inside) / len(inside)
            expected += len(inside) / 500 * abs(right - confidence)
    assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-6)


def test_calibration_error_by_hand():
    sure = torch.tensor([[1., 0.], [1., 0.]])
    assert calibration_error(sure, torch.tensor([0, 0])) == 0
    assert calibration_error(sure, torch.tensor([0, 1])) == pytest.approx(.5)
    assert calibration_error(sure, torch.tensor([1, 1])) == 1
