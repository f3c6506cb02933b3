"""Segmental metrics against a second way to compute them, and cases with an answer by hand."""
import functools
import itertools

import numpy as np
import pytest

from mmactclr.evaluation.segments import Segment, count_hits, edit_score, segment_metrics, segments_of


def random_video(rng: np.random.Generator, classes: int = 4) -> np.ndarray:
    return np.repeat(rng.integers(0, classes, 12), rng.integers(1, 9, 12))


def slow_segments(labels):
    at = 0
    for label, run in itertools.groupby(labels.tolist()):
        length = len(list(run))
        yield label, at, at + length
        at += length


def slow_distance(a, b):
    @functools.lru_cache(None)
    def distance(i, j):
        if not i or not j:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
    return distance(len(a), len(b))


@pytest.mark.parametrize('seed', range(20))
@pytest.mark.parametrize('background', [(), (0,)])
def test_against_a_second_way(seed, background):
    rng = np.random.default_rng(seed)
    truth = random_video(rng)
    prediction = truth.copy() if seed == 0 else np.resize(random_video(rng), len(truth))
    a = [s for s in slow_segments(truth) if s[0] not in background]
    b = [s for s in slow_segments(prediction) if s[0] not in background]
    assert segments_of(truth, background) == a and segments_of(prediction, background) == b
    found = segment_metrics([truth], [prediction], background)
    distance = slow_distance(tuple(s[0] for s in a), tuple(s[0] for s in b))
    assert found['edit'] == pytest.approx(1 - distance / max(len(a), len(b)))
    for overlap in (10, 25, 50):
        taken, right = set(), 0
        for label, start, stop in b:
            frames = set(range(start, stop))
            shares = [(len(frames & set(range(s, e))) / len(frames | set(range(s, e))) if la == label else 0, -i)
                      for i, (la, s, e) in enumerate(a)]
            share, i = max(shares)
            if share >= overlap / 100 and i not in taken:
                taken.add(i)
                right += 1
        precision, recall = right / len(b), right / len(a)
        f1 = 2 * precision * recall / (precision + recall) if right else 0
        assert found[f'f1@{overlap}'] == pytest.approx(f1)


def test_by_hand():
    truth = [Segment(1, 0, 10), Segment(2, 10, 20)]
    assert count_hits(truth, [Segment(1, 0, 5), Segment(1, 5, 10), Segment(2, 10, 20)], .5) == (2, 1, 0)
    assert count_hits(truth, [Segment(1, 0, 4)], .5) == (0, 1, 2)
    assert count_hits(truth, [], .1) == (0, 0, 2) and count_hits([], truth, .1) == (0, 2, 0)
    assert edit_score(truth, [Segment(1, 0, 1), Segment(3, 1, 2), Segment(2, 2, 3)]) == pytest.approx(1 - 1 / 3)


@pytest.mark.parametrize(('truth', 'prediction', 'expected'), [
    ([0, 0, 0], [0, 0, 0], 1.), ([0, 0, 0], [0, 1, 0], 0.), ([1], [1], 1.), ([1], [2], 0.), ([1, 1, 1], [1, 1, 1], 1.)])
def test_edge_cases(truth, prediction, expected):
    """No action at all, one frame, all of one label."""
    found = segment_metrics([np.array(truth)], [np.array(prediction)], background=(0,))
    assert set(found.values()) == {expected}


def test_f1_counts_over_all_videos_and_edit_is_a_mean():
    right, wrong = np.array([1] * 4), np.array([1, 1, 2, 2, 3, 3])
    found = segment_metrics([right, wrong], [right, np.array([4] * 6)])
    assert found['edit'] == .5 and found['f1@50'] == pytest.approx(2 * 1 / (2 + 1 + 3))
