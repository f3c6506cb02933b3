"""The order of work in a step of several streams."""

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm
from mmactclr.registry import MODELS

THREE = 'actclr_3s_ntu60_xsub'


def test_a_branch_starts_when_the_one_before_it_is_done(tiny_config):
    """Forward pass and backward pass of each branch, before the next one computes anything."""
    model, events = MODELS.build(tiny_config('nowhere', THREE).model), []
    for stream, branch in model.branches().items():
        branch.backbone.register_forward_hook(lambda *_, stream=stream: events.append(f'{stream} forward'))
        weight = branch.backbone.units[0].gcn.weight
        weight.register_hook(lambda _, stream=stream: events.append(f'{stream} backward'))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    batch = dict(inputs=torch.randn(4, 2, 16, 20, 3), mask=torch.ones(4, 2, dtype=torch.bool), index=torch.arange(4))
    outputs = model.train_step(batch, OptimWrapper(optimizer))
    streams = ('joint', 'motion', 'bone')
    assert events == [f'{stream} {way}' for stream in streams for way in ('forward', 'backward')]
    assert [name for name in outputs if 'loss' in name] == ['loss', *(f'{stream}.loss_nce' for stream in streams)]


class Scores(BaseAlgorithm):
    """A stand-in for a classifier: its scores are one number for each stream."""

    def __init__(self, stream, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.stream = stream

    def extract(self, keypoint, mask):
        value = {'joint': 1.0, 'motion': 10.0, 'bone': 100.0}[self.stream]
        return {'score': torch.full((len(keypoint), 3), value), 'backbone': torch.ones(len(keypoint), 2)}


@pytest.mark.parametrize('fusion, expected', [
    (None, 0.6 + 4 + 60), (dict(motion=0.6), 0.6 + 6 + 60), (dict(joint=1, motion=0, bone=2), 201)])
def test_class_scores_are_fused_by_weight(fusion, expected, monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'Scores', Scores)
    given = dict(fusion=fusion) if fusion else {}
    model = MODELS.build(dict(type='MultiStream', branch=dict(type='Scores'), **given))
    (sample,) = model(torch.zeros(1, 2, 16, 20, 3), mode='predict')
    torch.testing.assert_close(sample.pred_score, torch.full((3,), float(expected)))
    assert sample.features['backbone'].shape == (6,) and sample.features['bone.score'].tolist() == [100.0] * 3


@pytest.mark.parametrize('fusion', [dict(joint=1, motion=1, bone=-1), dict(joint=0, motion=0, bone=0)])
def test_fusion_needs_a_weight_for_every_stream(tiny_config, fusion):
    with pytest.raises(ConfigError, match='fusion is'):
        MODELS.build({**tiny_config('nowhere', THREE).model, 'fusion': fusion})
