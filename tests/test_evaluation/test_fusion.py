"""Class scores of several streams: each by itself, and their weighted sum."""
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.evaluation import FeatureMetric, KNNEvaluator, LinearEvaluator, LogisticEvaluator, knn_predict
from mmactclr.evaluation.knn import knn_scores
from mmactclr.registry import METRICS
from mmactclr.utils import load_config

STREAMS = ('joint', 'motion', 'bone')


class Fixed(FeatureMetric):
    """Scores that are the features themselves."""

    default_prefix = 'fixed'

    def class_scores(self, split):
        return {'top1': split.queries}


def samples(scores: dict[str, list[list[float]]], labels: list[int]) -> list[dict]:
    """One bank sequence and the queries, with a feature point for each stream and the concatenated one."""
    features = {f'{stream}.backbone': torch.tensor(rows) for stream, rows in scores.items()}
    features['backbone'] = torch.cat(list(features.values()), 1)
    bank = dict(role=0, label=0, features={name: rows[0] for name, rows in features.items()})
    return [bank, *(dict(role=1, label=label, features={name: rows[i] for name, rows in features.items()})
                    for i, label in enumerate(labels))]


# joint prefers class 0, motion class 1 strongly, bone class 2
SCORES = dict(joint=[[3.0, 0.0, 0.0]], motion=[[0.0, 4.0, 0.0]], bone=[[0.0, 0.0, 2.0]])


@pytest.mark.parametrize('fusion, winner', [
    # 1.8, 1.6, 1.2 by the default weights; 3, 4, 2 with equal ones
    (None, 0), (dict(joint=0.6, motion=0.6, bone=0.6), 1), (dict(joint=0.0, motion=0.1, bone=1.0), 2)])
@pytest.mark.parametrize('label', [0, 1, 2])
def test_the_weighted_sum_decides(fusion, winner, label):
    metric = Fixed(**(dict(fusion=fusion) if fusion else {}))
    metric.process(None, samples(SCORES, [label]))
    found = metric.evaluate(2)
    assert found == {
        'fixed/joint.backbone_top1': 100.0 * (label == 0), 'fixed/motion.backbone_top1': 100.0 * (label == 1),
        'fixed/bone.backbone_top1': 100.0 * (label == 2), 'fixed/backbone_top1': 100.0 * (label == winner),
        'fixed/backbone_top1_equal': 100.0 * (label == 1)}


def evaluate(metric: FeatureMetric, scores: dict[str, list[list[float]]]) -> dict[str, float]:
    metric.process(None, samples(scores, [0]))
    return metric.evaluate(2)


@pytest.mark.parametrize('weight', [-1.0, float('nan'), float('inf'), '0.6', None])
def test_a_weight_is_a_number_from_zero_up(weight):
    with pytest.raises(ConfigError, match="Fixed: fusion has {'motion': .*expected numbers"):
        Fixed(fusion=dict(motion=weight))


@pytest.mark.parametrize('fusion, scores, message', [
    (dict(joint=0.0, motion=0.0, bone=0.0), SCORES, 'Fixed: fusion is .*not all of them zero'),
    ({}, dict(SCORES, speed=[[1.0, 0.0, 0.0]]), 'Fixed: fusion is .*joint, motion, bone, speed'),
    (dict(moton=0.6), SCORES, 'Fixed: fusion has a weight for moton, .*joint, motion, bone')])
def test_every_stream_has_a_weight_and_every_weight_a_stream(fusion, scores, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(Fixed(fusion=fusion), scores)


def test_streams_that_a_model_does_not_have_need_no_weight():
    found = evaluate(Fixed(), {stream: SCORES[stream] for stream in ('joint', 'bone')})
    assert list(found) == ['fixed/joint.backbone_top1', 'fixed/bone.backbone_top1', 'fixed/backbone_top1',
                           'fixed/backbone_top1_equal']


def test_one_weight_is_overridden_at_the_command_line():
    cfg = load_config('actclr_3s_ntu60_xsub', {'test_evaluator.0.fusion.motion': 0.6})
    first, second = (METRICS.build(metric).protocol['fusion'] for metric in cfg.test_evaluator)
    assert first == dict(joint=0.6, motion=0.6, bone=0.6) and second == dict(joint=0.6, motion=0.4, bone=0.6)


def test_one_stream_can_be_asked_for_alone():
    assert evaluate(Fixed(points=['joint.backbone']), SCORES) == {'fixed/joint.backbone_top1': 100.0}


@pytest.fixture
def three_streams() -> list[dict]:
    """Streams that each tell two of four classes from the others."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for i in range(120):
        label = i % 4
        features = {}
        for number, stream in enumerate(STREAMS):
            centre = torch.zeros(5)
            centre[label if label in (number, number + 1) else 4] = 1.0
            features[f'{stream}.backbone'] = centre + 0.4 * torch.randn(5, generator=generator)
        features['backbone'] = torch.cat(list(features.values()))
        made.append(dict(role=int(i >= 80), label=label, features=features))
    return made


@pytest.mark.parametrize('metric, name', [
    (KNNEvaluator(k=[5]), 'knn/backbone_k5'), (LinearEvaluator(lr=0.3), 'linear/backbone_top1'),
    (LogisticEvaluator(), 'logistic/backbone_top1')])
def test_fused_streams_tell_what_none_tells_alone(metric, name, three_streams):
    metric.process(None, three_streams)
    found = metric.evaluate(120)
    prefix, point = name.split('/')
    single = [found[f'{prefix}/{stream}.{point}'] for stream in STREAMS]
    assert len(found) == 5 and f'{name}_equal' in found
    assert found[name] > max(single) + 5
    assert metric.protocol['fusion'] == dict(joint=0.6, motion=0.4, bone=0.6)


def test_votes_are_shares_and_win_like_predictions():
    generator = torch.Generator().manual_seed(1)
    bank, queries = torch.randn(50, 4, generator=generator), torch.randn(9, 4, generator=generator)
    labels = torch.arange(50) % 3
    scores = knn_scores(bank, labels, queries, k=7)
    torch.testing.assert_close(scores.sum(1), torch.ones(9))
    assert torch.equal(scores.argmax(1), knn_predict(bank, labels, queries, k=7))
