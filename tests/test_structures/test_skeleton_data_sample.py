"""Labels and predictions of one sequence."""
import pytest
import torch

from mmactclr.structures import SkeletonDataSample


def test_best_score_becomes_the_label():
    sample = SkeletonDataSample(metainfo=dict(index=3)).set_gt_label(2)
    sample.set_pred_score(torch.tensor([0.1, 0.7, 0.2]))
    assert sample.gt_label.tolist() == [2] and sample.pred_label.tolist() == [1]
    assert sample.index == 3 and set(sample.keys()) == {'gt_label', 'pred_score', 'pred_label'}


def test_scores_of_a_batch_are_refused():
    with pytest.raises(ValueError, match=r'found \(2, 3\); take one row'):
        SkeletonDataSample().set_pred_score(torch.zeros(2, 3))
