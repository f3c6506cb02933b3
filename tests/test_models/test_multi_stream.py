"""The order of work in a step of several streams."""

import torch
from mmengine.optim import OptimWrapper

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
