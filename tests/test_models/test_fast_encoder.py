"""The encoder's shortcuts against a plain implementation of the same layers."""
import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmactclr.models import Recognizer
from mmactclr.models.backbones import STGCN
from mmactclr.models.backbones.dropout import Dropout
from mmactclr.models.norms import counted_batch_norm
from mmactclr.models.persons import distinct_rows, fold_persons

# first unit in one product, second gathered first, third with few channels again, a stride and both kinds of residuals
CHANNELS, STRIDED = [8, 20, 20, 12], [2]


def plain(encoder: STGCN, x: torch.Tensor) -> torch.Tensor:
    """The layers one after the other, channels first, as the papers write them."""
    n, c, t, v = x.shape
    x = encoder.data_bn(x.permute(0, 3, 1, 2).reshape(n, v * c, t)).view(n, v, c, t).permute(0, 2, 3, 1)
    for unit, importance in zip(encoder.units, encoder.edge_importance, strict=True):
        gcn = unit.gcn
        y = F.conv2d(x, gcn.weight, gcn.bias).view(n, gcn.num_subsets, -1, *x.shape[2:])
        y = torch.einsum('nkctv,kvw->nctw', y, encoder.adjacency * importance)
        bn1, _, conv, bn2, dropout = unit.tcn
        y = F.dropout(bn2(conv(bn1(y).relu())), dropout.p, unit.training)
        if unit.residual is not None:
            y = y + unit.residual(x)
        x = y.relu()
    return x


def encoder(dropout: float = 0., dtype: torch.dtype = torch.float64) -> STGCN:
    torch.manual_seed(0)
    built = STGCN('ntu25', channels=CHANNELS, strided_units=STRIDED, dropout=dropout).to(dtype)
    for module in built.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for value in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(value, .5, .3)
            nn.init.uniform_(module.running_var, .5, 2)
    for importance in built.edge_importance:
        nn.init.uniform_(importance, .5, 1.5)
    return built


def gradients(forward, model: STGCN, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    torch.manual_seed(3)
    weight = torch.randn(forward(x).shape, dtype=x.dtype)
    model.zero_grad()
    (forward(x) * weight).sum().backward()
    return [x.grad, *(parameter.grad.clone() for parameter in model.parameters())]


@pytest.mark.parametrize('training', [False, True])
def test_values_and_gradients_are_those_of_the_plain_layers(training):
    model, other = encoder().train(training), encoder().train(training)
    x = torch.randn(5, 3, 14, 25, dtype=torch.float64)
    torch.testing.assert_close(model(x), plain(other, x), atol=1e-10, rtol=1e-9)
    for ours, theirs in zip(gradients(model, model, x), gradients(lambda y: plain(other, y), other, x), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    for (name, ours), theirs in zip(model.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_single_precision_in_eval_mode():
    model = encoder(dtype=torch.float32).eval()
    x = torch.randn(5, 3, 14, 25)
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain(model, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('p', [.5, .25])
@pytest.mark.parametrize('layout', ['channels last', 'contiguous', 'expanded'])
def test_dropout_keeps_each_entry_with_its_probability_and_scales_it(p, layout):
    torch.manual_seed(0)
    x = torch.rand(6, 32, 20, 50) + 1
    if layout == 'channels last':
        x = x.contiguous(memory_format=torch.channels_last)
    elif layout == 'expanded':
        x = x[:, :1].expand(-1, 32, -1, -1)
    out = Dropout(p).train()(x)
    kept = out != 0
    torch.testing.assert_close(out[kept], x[kept] / (1 - p))
    count, total = int(kept.sum()), kept.numel()
    assert abs(count - total * (1 - p)) < 5 * (total * p * (1 - p)) ** .5
    # every channel, frame and joint alike, in case bytes of one place were less random than those of others
    for dim in range(4):
        share = kept.double().transpose(0, dim).flatten(1).mean(1)
        spread = (p * (1 - p) / (total / len(share))) ** .5
        assert (share - (1 - p)).abs().max() < 5 * spread


def test_entries_are_dropped_independently_of_their_neighbours():
    torch.manual_seed(1)
    kept = (Dropout(.5).train()(torch.ones(1 << 18)) != 0).double() - .5
    for lag in (1, 2, 3, 7, 8, 9, 16, 64):
        correlation = (kept[lag:] * kept[:-lag]).mean() / .25
        assert abs(correlation) < 5 / len(kept) ** .5


def test_dropout_has_the_gradient_of_what_it_did_whatever_the_layout_of_the_gradient():
    torch.manual_seed(0)
    for memory, of_grad in itertools.product((torch.contiguous_format, torch.channels_last), repeat=2):
        x = torch.rand(2, 6, 3, 5).contiguous(memory_format=memory).requires_grad_()
        out = Dropout(.5).train()(x)
        weight = torch.rand(2, 6, 3, 5).contiguous(memory_format=of_grad)
        out.backward(weight)
        torch.testing.assert_close(x.grad, torch.where(out != 0, 2 * weight, 0.))


def test_dropout_does_nothing_in_eval_mode_and_repeats_with_the_seed():
    x = torch.rand(4, 9)
    assert torch.equal(Dropout(.5).eval()(x), x) and torch.equal(Dropout(0.).train()(x), x)
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append(Dropout(.5).train()(x))
    assert torch.equal(*drawn)
    assert (Dropout(.3).train()(torch.ones(20000)) == 0).double().mean() == pytest.approx(.3, abs=.02)


@pytest.mark.parametrize('mask', [[[1, 0], [1, 0], [1, 1], [1, 0]], [[0, 0], [0, 0], [0, 0], [0, 0]],
                                  [[1, 1], [1, 1], [1, 1], [1, 1]], [[1, 1], [1, 1], [1, 1], [1, 0]]])
def test_absent_persons_are_encoded_once_and_count_as_before(mask):
    mask = torch.tensor(mask, dtype=torch.bool)
    x = torch.randn(4, 2, 14, 25, 3) * mask[:, :, None, None, None]
    model = Recognizer('ntu25', backbone=dict(
        type='STGCN', layout='ntu25', channels=CHANNELS, strided_units=STRIDED), head=None).eval()
    computed = []
    model.backbone.register_forward_pre_hook(lambda module, args: computed.append(len(args[0])))
    with torch.no_grad():
        feature_map, rows = model.encode(model.backbone, x, mask)
        whole = model.backbone(fold_persons(x, mask, False)[0])
    torch.testing.assert_close(feature_map, whole, atol=1e-6, rtol=1e-5)
    present, absent = int(mask.sum()), int((~mask).sum())
    assert computed == [present + min(absent, 1) if absent > 1 else 8, 8]
    distinct = distinct_rows(rows)
    assert (distinct is None) == (absent < 2)


@pytest.mark.parametrize('mask', [[[1, 0], [1, 0], [1, 1], [1, 0]], [[0, 0], [0, 0], [0, 0], [0, 0]],
                                  [[1, 1], [1, 1], [1, 1], [1, 1]], [[1, 1], [1, 1], [1, 1], [1, 0]]])
def test_absent_persons_are_encoded_once_in_training_and_count_as_often_as_there_are(mask):
    mask = torch.tensor(mask, dtype=torch.bool)
    x = (torch.randn(4, 2, 14, 25, 3) * mask[:, :, None, None, None]).double()
    model = Recognizer('ntu25', backbone=dict(
        type='STGCN', layout='ntu25', channels=CHANNELS, strided_units=STRIDED, dropout=0.), head=None)
    model, other = model.double().train(), copy.deepcopy(model).double().train()
    computed = []
    model.backbone.register_forward_pre_hook(lambda module, args: computed.append(len(args[0])))
    weight = torch.randn(4, 12, dtype=torch.float64)

    class Float64(type(model.backbone)):
        """An encoder that does not know of copies gets all rows, and stays as precise as its input."""

        def forward(self, x):
            return super().forward(x)

    other.backbone.__class__ = Float64
    results = []
    for each in (model, other):
        feature_map, rows = each.encode(each.backbone, x, mask)
        (rows.mean(feature_map.double().mean((2, 3))) * weight).sum().backward()
        results.append((feature_map, *(p.grad for p in each.parameters() if p.grad is not None), *each.buffers()))
    for ours, theirs in zip(*results, strict=True):
        # encode gives the map in single precision, whose rounding goes back through the gradients
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    absent = int((~mask).sum())
    assert computed == [int(mask.sum()) + 1 if absent > 1 else 8]


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('copies', [1, 2, 9])
def test_a_counted_batch_norm_is_that_of_all_rows(layout, copies):
    torch.manual_seed(0)
    rows = torch.randn(4, 6, 5, 3, dtype=torch.float64).contiguous(memory_format=layout)
    where = torch.tensor([0, 1, 2] + [3] * copies)
    norms = [nn.BatchNorm2d(6).double(), nn.BatchNorm2d(6).double()]
    weight = torch.randn(len(where), 6, 5, 3, dtype=torch.float64)
    results = []
    for norm, few in zip(norms, (True, False), strict=True):
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(.5, 2, 6))
            norm.bias.copy_(torch.linspace(-1, 1, 6))
        x = rows.clone().requires_grad_()
        for _ in range(2):
            out = counted_batch_norm(norm, x, copies)[where] if few else norm(x[where])
        (out.sin() * weight).sum().backward()
        results.append((out, x.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


def test_a_counted_batch_norm_in_bf16_keeps_statistics_in_full_precision():
    torch.manual_seed(0)
    x, norm = torch.randn(9, 6, 5, 3) + 3, nn.BatchNorm2d(6)
    out = counted_batch_norm(norm, x.bfloat16(), 4)
    whole = x.bfloat16().float()[[*range(9), 8, 8, 8]]
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean, .1 * whole.mean((0, 2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.float(), nn.BatchNorm2d(6)(whole)[:9], atol=.03, rtol=.03)


def test_few_channels_and_a_stride_do_not_break_memory():
    # oneDNN's backward pass of a strided 1x1 convolution ends the process here, sooner or later
    code = ('import torch; from mmactclr.models.backbones import STGCN; torch.manual_seed(0)\n'
            'for _ in range(10):\n'
            "    model = STGCN('ntu25', channels=[8, 20, 20, 12], strided_units=[2])\n"
            '    model(torch.randn(11, 3, 14, 25)).square().sum().backward()\n')
    subprocess.run([sys.executable, '-c', code], check=True, cwd=Path(__file__).parents[2], timeout=300)
