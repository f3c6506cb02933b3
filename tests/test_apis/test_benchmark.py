"""The benchmarks compare equal work, and count it right."""
import copy
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmactclr.apis.benchmark.evaluation import one_by_one, with_faiss
from mmactclr.apis.benchmark.measure import Table, alternate, count_flops, matrix_peak, peak_memory, ratio
from mmactclr.apis.benchmark.plain_encoder import PlainSTGCN
from mmactclr.apis.benchmark.plain_step import PlainActCLR
from mmactclr.apis.benchmark.setup import Size, build_method, build_optimizer, read_config, synthetic_batch
from mmactclr.errors import ConfigError
from mmactclr.evaluation import knn_predict
from mmactclr.models.backbones import STGCN
from mmactclr.utils import load_config

ROOT = Path(__file__).parents[2]
CPU = torch.device('cpu')
PAPER = 'configs/actclr/actclr_joint_ntu60_xsub.py'
RELEASE = 'configs/actclr_release/actclr-release_joint_ntu60_xview.py'
RELEASE_CHANNELS = [16, 16, 16, 16, 32, 32, 32, 64, 64, 256]
# small enough for a second a step; memories larger than top_k, which the release cuts to
SMALL = {'model.backbone.channels': [8, 16, 24], 'model.backbone.strided_units': [2, 3], 'model.backbone.dropout': 0.,
         'model.projector.in_channels': 24, 'model.memory.size': 200}


def shaken(encoder: nn.Module) -> nn.Module:
    """Statistics and affine parameters that are not the neutral ones."""
    torch.manual_seed(1)
    for module in encoder.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for value in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(value, .5, .2)
            nn.init.uniform_(module.running_var, .5, 2)
    return encoder


@pytest.mark.parametrize('training', [False, True])
def test_the_plain_encoder_computes_what_ours_does(training):
    ours = shaken(STGCN('ntu25', channels=[8, 20, 12], strided_units=[2], dropout=0.)).double()
    plain = PlainSTGCN(ours).double().train(training)
    ours.train(training)
    results = []
    for encoder in (ours, plain):
        x = torch.randn(4, 3, 14, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        out = encoder(x)
        out.sin().sum().backward()
        results.append((out, x.grad, encoder.data_bn.weight.grad, encoder.data_bn.running_var))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-9)


def test_the_plain_encoder_is_that_of_the_reference(shared_dir):
    path = shared_dir / 'benchmarks' / 'reference_stgcn.py'
    if not path.is_file():
        pytest.skip('no reference encoder here')
    spec = importlib.util.spec_from_file_location('reference_stgcn', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = shaken(STGCN('ntu25', channels=RELEASE_CHANNELS, strided_units=[5, 8])).eval()
    reference, plain = module.ReferenceSTGCN().eval(), PlainSTGCN(ours).eval()
    reference.load_state_dict({name.replace('residual', 'res'): value for name, value in plain.state_dict().items()})
    joints = torch.randn(2, 3, 50, 25, 2)
    rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1)
    pooled = plain(rows).mean((2, 3)).view(2, 2, -1).mean(1)
    with torch.no_grad():
        torch.testing.assert_close(pooled, reference(joints), atol=1e-5, rtol=1e-4)
        assert count_flops(lambda: plain(rows)) == count_flops(lambda: reference(joints))


@pytest.mark.parametrize(('config', 'stage'), [(PAPER, 1), (PAPER, 2), (RELEASE, 2)])
@pytest.mark.parametrize('top_k', [None, 150])
def test_the_plain_step_computes_what_ours_does(config, stage, top_k):
    size = Size(batch=6, frames=20, persons=2, absent=.5)
    method = build_method(read_config(config, {**SMALL, 'model.mining_loss.top_k': top_k}), size, CPU, stage)
    plain = PlainActCLR(method).train()
    cfg = load_config(config)
    ours = build_optimizer(cfg, [p for p in method.parameters() if p.requires_grad], 'fp32')
    theirs = build_optimizer(cfg, plain.trained(), 'fp32')
    for step in range(2):
        # one of whose masks no cell lies so near the threshold that rounding decides
        batch = synthetic_batch(size, 25, seed=step + 10)
        expected = plain.step(method.training_views(batch), theirs.optimizer)
        found = method.train_step(batch, ours)
        method.memory.enqueue(method.pending_keys)
        method.pending_keys = None
        method.momentum_update(plain.momentum)
        losses = {name: value for name, value in found.items() if name.startswith('loss_')}
        assert len(losses) == len(expected)
        for loss, other in zip(losses.values(), expected.values(), strict=True):
            torch.testing.assert_close(loss, other, atol=1e-4, rtol=1e-4)
        method.set_progress(0, method.epoch, step + 1, 0)
    torch.testing.assert_close(method.memory.keys.t(), plain.memory, atol=1e-4, rtol=1e-3)
    for mine, other in ((method.backbone, plain.encoder), (method.backbone_k, plain.encoder_k)):
        for value, wanted in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(value, wanted, atol=2e-3, rtol=1e-2)


def test_operations_are_counted_forward_and_backward():
    weight = torch.randn(7, 5, requires_grad=True)
    x = torch.randn(3, 5, requires_grad=True)
    assert count_flops(lambda: x @ weight.t()) == 2 * 3 * 5 * 7
    assert count_flops(lambda: (x @ weight.t()).sum().backward()) == 3 * 2 * 3 * 5 * 7
    kernel = torch.randn(4, 2, 3, 1)
    assert count_flops(lambda: nn.functional.conv2d(torch.randn(5, 2, 9, 6), kernel)) == 2 * 5 * 4 * 7 * 6 * 2 * 3


def test_calls_alternate_and_their_ratio_is_taken_round_by_round():
    order = []
    seconds = alternate({name: lambda name=name: order.append(name) for name in 'ab'}, 3, CPU, warmup=2)
    assert ''.join(order) == 'ab' * 5 and {len(each) for each in seconds.values()} == {3}
    assert ratio([2., 9., 8.], [1., 3., 4.]) == '2.00 (2.00-3.00)'


def test_the_memory_of_a_process_is_its_own():
    blown_up = np.ones(60_000_000)
    small, large = peak_memory(np.ones, 10), peak_memory(np.ones, 40_000_000)
    assert large - small == pytest.approx(40_000_000 * 8 / 2 ** 20, rel=.1)
    # this process holds more than the small one did
    assert small < blown_up.nbytes / 2 ** 20 + small - 100


def test_a_peak_is_what_a_product_reaches():
    size = 512
    left = torch.randn(size, size)
    seconds = min(alternate({'': lambda: left @ left}, 5, CPU)[''])
    # same arithmetic, another size: the same within a factor of a few
    assert .1 < matrix_peak('fp32', CPU) / (2 * size ** 3 / seconds) < 10


def test_tables_leave_out_what_is_not_there():
    text = Table('speed', [{'': 'a', 'x': 1234.5}, {'': 'b', 'y': .012345}]).markdown()
    assert text.splitlines()[2:] == ['|  | x | y |', '| --- | --- | --- |', '| a | 1234 |  |', '| b |  | 0.0123 |']


def test_all_ways_to_find_neighbours_vote_alike():
    torch.manual_seed(0)
    bank, queries, labels = torch.randn(300, 16), torch.randn(40, 16), torch.randint(60, (300,))
    expected = one_by_one(bank, labels, queries)
    assert torch.equal(expected, knn_predict(bank, labels, queries, 20, .1))
    if importlib.util.find_spec('faiss'):
        assert torch.equal(expected, with_faiss(bank, labels, queries))


def test_the_plain_method_leaves_the_original_alone():
    size = Size(batch=4, frames=20, persons=2)
    method = build_method(read_config(PAPER, SMALL), size, CPU)
    before = copy.deepcopy(method.state_dict())
    plain = PlainActCLR(method)
    plain.step(method.training_views(synthetic_batch(size, 25)), torch.optim.SGD(plain.trained(), lr=1.))
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.fixture(scope='module')
def tool():
    """The command line tool, in this process."""
    spec = importlib.util.spec_from_file_location('benchmark_tool', ROOT / 'tools/analysis_tools/benchmark.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)


TINY = ['--cfg-options', 'model.backbone.channels=[8,16]', 'model.backbone.strided_units=[2]',
        'model.projector.in_channels=16', 'model.memory.size=64']


@pytest.mark.parametrize('words', [
    ['encoder', '--batch', '4', '--grow'], ['step', '--batch', '4', '--grow', '--no-memory'],
    ['step', 'configs/skeletonclr/skeletonclr_joint_ntu60_xsub.py', '--batch', '4', '--stage', '1'],
    ['evaluation', '--batch', '4', '--bank', '200', '--queries', '20', '--grow']], ids=' '.join)
def test_the_tool_writes_finite_tables(tool, words, tmp_path, capsys):
    tool.main([*words, '--frames', '16', '--repeats', '1', '--out', str(tmp_path), *TINY])
    written = json.loads((tmp_path / f'{words[0]}.json').read_text())
    assert written['machine']['threads'] == 1 and all(table['rows'] for table in written['tables'])
    numbers = [cell for table in written['tables'] for row in table['rows'] for cell in row.values()
               if isinstance(cell, (int, float))]
    assert numbers and all(np.isfinite(numbers)) and min(numbers) > 0
    assert (tmp_path / f'{words[0]}.md').read_text().strip() in capsys.readouterr().out


@pytest.mark.parametrize(('words', 'message'), [
    (['encoder', '--repeats', '0'], '--repeats is 0'), (['encoder', '--batch', '-3'], 'expected numbers from 1 up'),
    (['encoder', '--precision', 'tf32'], 'tf32 is a mode of GPUs'), (['step', '--absent', '3'], 'a share between 0'),
    (['step', 'configs/benchmarks/knn/knn_utdmhad_xsub.py'], 'no data_preprocessor'),
    pytest.param(['encoder', '--device', 'cuda'], 'finds no GPU',
                 marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is one'))])
def test_mistakes_are_named(tool, words, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        tool.main([*words, '--out', str(tmp_path)])
