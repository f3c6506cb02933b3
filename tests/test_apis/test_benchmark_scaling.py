"""The projection counts what processes send, and adds up what it says it does."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmactclr.apis.benchmark import scaling
from mmactclr.apis.benchmark.setup import build_method, read_config, size_of
from mmactclr.errors import ConfigError

SMALL = {'num_frames': 12, 'max_persons': 1, 'model.branch.backbone.channels': [8, 16],
         'model.branch.backbone.strided_units': [1], 'model.branch.backbone.dropout': 0.,
         'model.branch.projector.in_channels': 16, 'model.branch.memory.size': 60}


def test_what_a_process_sends_is_what_it_has_to_share():
    cfg = read_config('actclr_3s_ntu60_xsub', SMALL)
    size = size_of(cfg, 8)
    sent = scaling.measure_sent(cfg, size, SMALL)
    method = build_method(cfg, size, torch.device('cpu'))
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
    norms = [m for m in method.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert sent == {scaling.GRADIENTS: 4 * trained, scaling.STATISTICS: 4 * sum(2 * m.num_features for m in norms),
                    scaling.KEYS: 4 * 8 * 3 * 128}


def test_the_projection_adds_up_what_it_says():
    cfg = read_config('actclr_3s_ntu60_xsub')
    one = {'GFLOP a sequence': 10., 'bytes read a sequence': 3e4, 'bytes held a sequence': 250.}
    sent = {scaling.GRADIENTS: 10_000_000, scaling.STATISTICS: 0, scaling.KEYS: 200_000}
    args = SimpleNamespace(sequences=1e8, tflops=10., bandwidth=10., latency=0., processes_per_machine=8)
    alone, many = (scaling.project(cfg, size_of(cfg, 100), one, sent, gpus, args) for gpus in (1, 16))
    # 1000 GFLOP at 10 TFLOP/s
    assert alone['ms compute'] == pytest.approx(100) and alone['ms exchange'] == 0 and alone['efficiency'] == '100%'
    assert alone['hours an epoch'] == pytest.approx(1e6 * .1 / 3600)
    # a ring moves 2 * 15/16 of the gradients, and the keys of 15 others
    assert many['MB received'] == pytest.approx(18.75 + 3) and many['ms exchange'] == pytest.approx(2.175)
    assert many['batch'] == 1600 and many['steps an epoch'] == 62500
    assert many['GiB held a machine, all read all'] == pytest.approx(8 * 250e8 / 2 ** 30)
    assert many['GiB held a machine, divided'] == pytest.approx(8 / 16 * 250e8 / 2 ** 30)
    assert many['steps that the memory spans'] == cfg.model.branch.memory.size / 1600


@pytest.mark.parametrize(('name', 'value'), [('bandwidth', 0), ('sequences', -1), ('gpus', [0])])
def test_what_cannot_be_projected_is_named(name, value):
    args = SimpleNamespace(sequences=1e6, tflops=1., bandwidth=1., latency=0., processes_per_machine=1, gpus=[1])
    setattr(args, name, value)
    with pytest.raises(ConfigError, match=f'--{name}'):
        scaling.run(args)
