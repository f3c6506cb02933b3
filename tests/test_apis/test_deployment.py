"""Exported files give what the models give, at any batch and length, and run without PyTorch."""
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmactclr.apis import SkeletonInferencer, deployment, export_onnx, init_model
from mmactclr.apis.deployment import closed_anchor_gradient, read_metadata
from mmactclr.engine.checkpoints import ModelCard, write_checkpoint
from mmactclr.engine.checkpoints.official_files import convert_file
from mmactclr.errors import ConfigError, DataError, ExportError
from mmactclr.models import ActionletHead, FeatureBaseline, ProjectionMLP
from mmactclr.models.algorithms.actclr import find_actionlet
from mmactclr.models.heads import anchor_gradient
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / 'docs' / 'examples' / 'run_onnx.py'
FRAMES, CLASSES = 16, ['left', 'right', 'both']


def encoder(layout):
    return dict(type='STGCN', layout=layout, channels=[6, 20, 8], strided_units=[2, 3])


def head():
    return dict(type='ClassificationHead', in_channels=8, num_classes=len(CLASSES))


def contrastive(kind, layout, **more):
    return dict(type=kind, layout=layout, backbone=encoder(layout), memory=dict(size=8, dim=4),
                projector=dict(type='ProjectionMLP', in_channels=8, hidden_channels=8, out_channels=4,
                               batch_norm=more.pop('batch_norm', False)), loss=dict(type='InfoNCELoss'), **more)


def actclr(layout, actionlet_head=None, **more):
    return contrastive('ActCLR', layout, num_frames=FRAMES, mining_loss=dict(type='SimilarityMiningLoss'),
                       actionlet_head=dict(type='ActionletHead', layout=layout, **(actionlet_head or {})), **more)


# layout and model; between them they have every kind of model, stream, mask and smoothing
MODEL_CONFIGS = {
    'Recognizer': ('ntu25', dict(type='Recognizer', layout='ntu25', backbone=encoder('ntu25'), head=head())),
    'MoCo': ('coco17', contrastive('MoCo', 'coco17', stream='motion', skip_absent=True, batch_norm=True)),
    'ActCLR': ('ntu25', actclr('ntu25', stream='bone', skip_absent=True, batch_norm=True)),
    'MultiStream': ('kinect20_utdmhad', dict(type='MultiStream', branch=actclr('kinect20_utdmhad', dict(
        smoothing='part', signed=True, channels='mean')))),
    'MultiRecognizer': ('coco17', dict(type='MultiStream', branch=dict(
        type='Recognizer', layout='coco17', backbone=encoder('coco17'), head=head(), skip_absent=True))),
    'Segmentor': ('ntu25', dict(type='Segmentor', layout='ntu25', backbone=encoder('ntu25'), head=head())),
}
HAS_CLASSES = ('Recognizer', 'MultiRecognizer', 'Segmentor')
# the others are given the anchor of recordings
OWN_ANCHOR = ('ActCLR', 'MultiStream')


def write_tiny_checkpoint(path, name, model=None, layout=None, collapsed=False):
    layout, model = (layout, model) if model else MODEL_CONFIGS[name]
    layout = get_layout(layout)
    card = ModelCard(model, layout.to_dict(), FRAMES, classes=CLASSES if name in HAS_CLASSES else [], source=name)
    torch.manual_seed(3)
    built = card.build(name)
    for parameter in built.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape))
    for module in built.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(0, .2)
            module.running_var.uniform_(.5, 2)
        if hasattr(module, 'data_bn') and not collapsed:
            # so that inputs differ, small as motions are
            module.data_bn.running_var.fill_(.01)
        if hasattr(module, 'anchor_ready'):
            module.anchor.normal_(0, .5)
            module.anchor_ready.fill_(True)
    return write_checkpoint(path, built.state_dict(), card)


def joints(n, frames, num_joints, seed):
    """Two persons; the second absent in the first sequence, the first in the second, both in the third."""
    rng = np.random.default_rng(seed)
    keypoint = rng.normal(0, .5, (n, 2, 1, num_joints, 3)) + rng.normal(0, .05, (n, 2, frames, num_joints, 3)).cumsum(2)
    mask = np.array([[True, False], [False, True], [False, False]])[:n]
    return (keypoint * mask[:, :, None, None, None]).astype(np.float32), mask


def run(path, keypoint, mask):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return dict(zip([each.name for each in session.get_outputs()],
                    session.run(None, {'keypoint': keypoint, 'mask': mask}), strict=True))


def assert_close(found, expected, name=''):
    assert found.shape == tuple(expected.shape), name
    largest = float(np.abs(expected).max())
    assert largest > 0 and np.abs(found - np.asarray(expected)).max() <= 1e-4 * max(largest, 1e-30), name


class Exports:
    """Checkpoint and file of each tiny model, made once when first asked for."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        checkpoint, path = self.folder / f'{name}.pth', self.folder / f'{name}.onnx'
        if not path.exists():
            write_tiny_checkpoint(checkpoint, name)
            anchor = None
            if name not in OWN_ANCHOR:
                anchor = list(joints(2, FRAMES + 3, get_layout(MODEL_CONFIGS[name][0]).num_joints, 9)[0])
            export_onnx(checkpoint, path, 'actionlet', anchor=anchor)
        return checkpoint, path

    def inferencer(self, name):
        """With the anchor that the file was written with."""
        inferencer = SkeletonInferencer(self(name)[0])
        if name not in OWN_ANCHOR:
            inferencer.use_anchor(list(joints(2, FRAMES + 3, inferencer.layout.num_joints, 9)[0]))
        return inferencer


@pytest.fixture(scope='module')
def exports(tmp_path_factory):
    return Exports(tmp_path_factory.mktemp('exports'))


PROJECTORS = {
    'identity': nn.Identity, 'linear': lambda: nn.Sequential(nn.Linear(8, 5)),
    'mlp': lambda: ProjectionMLP(8, 6, 5), 'mlp with batch norm': lambda: ProjectionMLP(8, 6, 5, batch_norm=True),
    'deep': lambda: nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Dropout(), nn.Sequential(nn.Linear(7, 6), nn.ReLU()),
                                  nn.BatchNorm1d(6, affine=False), nn.Linear(6, 5, bias=False))}


@pytest.mark.parametrize('kind', PROJECTORS)
def test_the_gradient_in_closed_form_is_that_of_autograd(kind):
    torch.manual_seed(1)
    projector = PROJECTORS[kind]().double().eval()
    for module in projector.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(.2, 3)
    pooled = torch.randn(40, 8).double()
    pooled[0] = 0
    z_anchor = 7 * torch.randn(1, 8 if kind == 'identity' else 5).double()
    expected = anchor_gradient(pooled, projector, z_anchor)
    with torch.no_grad():
        found = closed_anchor_gradient(pooled, projector, z_anchor)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13 * float(expected.abs().max()))


def test_the_gradient_in_closed_form_meets_the_golden_numbers(golden_dir):
    with np.load(golden_dir / 'actionlet.npz', allow_pickle=False) as content:
        golden = {name: torch.from_numpy(content[name]) for name in content.files}
    projector = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128)).double()
    projector.load_state_dict({'0.weight': golden['w1'], '0.bias': golden['b1'], '2.weight': golden['w2'],
                               '2.bias': golden['b2']})
    pooled = golden['feature_map'].mean((2, 3)).view(8, 2, -1).mean(1)
    gradient = closed_anchor_gradient(pooled, projector, golden['z_anchor'])
    of_a_cell = gradient.repeat_interleave(2, 0) / (2 * 13 * 25)
    torch.testing.assert_close(of_a_cell, golden['delta_h'], atol=1e-9, rtol=1e-6)


def test_a_layer_without_a_closed_form_is_named():
    with pytest.raises(ConfigError, match='projector with a Tanh'):
        closed_anchor_gradient(torch.zeros(1, 2), nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.ones(1, 2))


@pytest.mark.parametrize('name', MODEL_CONFIGS)
def test_a_file_gives_what_the_model_gives(exports, name):
    checkpoint, path = exports(name)
    model, anchor = init_model(checkpoint=checkpoint), exports.inferencer(name).anchor
    branches = model.branches()
    for n, frames in ((1, 17), (3, 17), (1, 50), (3, 50), (1, 120), (3, 120)):
        keypoint, mask = joints(n, frames, get_layout(MODEL_CONFIGS[name][0]).num_joints, seed=frames)
        found, tensors = run(path, keypoint, mask), (torch.from_numpy(keypoint), torch.from_numpy(mask))
        features = model.extract(*tensors)
        pooled = features.pop('backbone')
        assert_close(found.pop('embedding'), pooled.mean(2) if name == 'Segmentor' else pooled)
        for stream, branch in branches.items():
            actionlet = found.pop('actionlet' if len(branches) == 1 else f'actionlet_{stream}')
            if anchor is None:
                expected = branch.actionlet(*tensors)
            else:
                expected = find_actionlet(branch, ActionletHead(branch.layout), *tensors, anchor)
            assert_close(actionlet, expected, 'actionlet')
            assert not actionlet[~mask].any()
        assert set(found) == {point for point in features if '.' not in point}
        for point, value in found.items():
            assert_close(value, features[point], point)


@pytest.mark.parametrize('name', ['Recognizer', 'MoCo'])
def test_what_absent_persons_do_is_of_no_account(exports, name):
    path = exports(name)[1]
    keypoint, mask = joints(3, 20, get_layout(MODEL_CONFIGS[name][0]).num_joints, 5)
    noisy = np.where(mask[:, :, None, None, None], keypoint, np.float32(3))
    clean = run(path, keypoint, mask)
    for point, value in run(path, noisy, mask).items():
        np.testing.assert_allclose(value, clean[point], rtol=1e-5, atol=1e-7)
    # they are not left out alike: with one person of two, the zeros of the other count or do not
    alone = run(path, keypoint[:1], mask[:1])['embedding']
    twice = run(path, np.repeat(keypoint[:1, :1], 2, 1), np.ones((1, 2), bool))['embedding']
    assert np.allclose(alone, twice, rtol=1e-4) == (name == 'MoCo')


def test_the_file_says_what_it_is(exports):
    for name in ('Recognizer', 'MultiStream'):
        checkpoint, path = exports(name)
        about = read_metadata(path)
        card = ModelCard.of(torch.load(checkpoint, weights_only=True), name)
        assert ModelCard(**{key: value for key, value in about['card'].items() if key != 'version'}) == card
        assert [step['type'] for step in about['preparation']] == ['Centre', 'ResizeFrames', 'AlignShoulders']
        session = onnxruntime.InferenceSession(str(path))
        assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
            ('keypoint', 'tensor(float)', ['N', 2, 'T', len(card.layout['joints']), 3]),
            ('mask', 'tensor(bool)', ['N', 2])]
        assert [each.name for each in session.get_outputs()] == list(about['outputs'])
        assert about['streams'] == (['joint'] if name == 'Recognizer' else ['joint', 'motion', 'bone'])


def test_parts_hold_what_they_say(exports, tmp_path):
    inferencer = SkeletonInferencer(exports('Recognizer')[0])
    found = export_onnx(inferencer, tmp_path / 'embedding', 'embedding', opset=13)
    assert {name for values in found.values() for name in values} == {'embedding'}
    assert list(read_metadata(tmp_path / 'embedding.onnx')['outputs']) == ['embedding']
    found = export_onnx(inferencer, tmp_path / 'default.onnx', opset=20, check=True)
    assert list(read_metadata(tmp_path / 'default.onnx')['outputs']) == ['embedding', 'score']
    assert {'1x2x16x25x3', '3x2x11x25x3', '1x2x17x25x3', '3x2x120x25x3'} < set(found)
    assert all(value < 1e-4 for values in found.values() for value in values.values())


def test_what_cannot_be_exported_is_said_and_nothing_is_written(exports, tmp_path, monkeypatch):
    path = tmp_path / 'model.onnx'
    for name, part, why in (('MoCo', 'recognizer', 'has no classifier'), ('MoCo', 'actionlet', 'no static anchor'),
                            ('MoCo', 'everything', "part is 'everything'")):
        with pytest.raises(ConfigError, match=why):
            export_onnx(exports(name)[0], path, part)
    with pytest.raises(ConfigError, match='opset is 12, expected 13 to 20'):
        export_onnx(exports('MoCo')[0], path, opset=12)
    with pytest.raises(ConfigError, match='FeatureBaseline cannot be exported'):
        deployment.ExportedModel(FeatureBaseline(dict(type='RawCoordinates')), 'embedding', 2)
    with pytest.raises(DataError, match='cannot be written'):
        export_onnx(exports('MoCo')[0], exports('MoCo')[0] / 'below_a_file.onnx')
    with pytest.raises(DataError, match='cannot be read|no metadata'):
        read_metadata(exports('MoCo')[0])
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ConfigError, match=r'package onnxruntime.*mmactclr\[deploy\]'):
        export_onnx(exports('MoCo')[0], path)
    assert not list(tmp_path.iterdir())


class BakedLength(nn.Module):
    """An encoder that goes wrong at another length than that of the trace: it divides by a plain number."""

    out_channels = 3

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.weight = nn.Parameter(torch.ones(3, 3, 1, 1))

    def forward(self, x):
        if self.kind == 'number':
            return F.conv2d(x, self.weight).cumsum(2) / int(x.shape[2])
        if self.kind == 'shape':
            return F.conv2d(x, self.weight).reshape(-1, 3, int(x.shape[2]), x.shape[3])
        return torch.linalg.svdvals(x)[..., None]


@pytest.mark.parametrize('kind, why', [('number', "output 'embedding' differs from the model by"),
                                       ('shape', 'depends on batch or length'),
                                       ('operator', 'cannot be traced with opset 18.*svd')])
def test_a_file_that_differs_from_the_model_is_not_kept(tmp_path, monkeypatch, kind, why):
    monkeypatch.setitem(MODELS.module_dict, 'BakedLength', BakedLength)
    path = tmp_path / 'model.onnx'
    path.write_bytes(b'an earlier one')
    checkpoint = write_tiny_checkpoint(tmp_path / 'a.pth', 'baked', dict(
        type='Recognizer', layout='coco17', backbone=dict(type='BakedLength', kind=kind), head=None), 'coco17')
    with pytest.raises(ExportError, match=why):
        export_onnx(checkpoint, path, 'embedding')
    assert path.read_bytes() == b'an earlier one'
    assert sorted(each.name for each in tmp_path.iterdir()) == ['a.pth', 'model.onnx']


@pytest.mark.parametrize('part', ['embedding', 'recognizer', None])
def test_an_anchor_without_actionlets_is_refused(tmp_path, part):
    with pytest.raises(ConfigError, match="an anchor is for actionlets"):
        export_onnx(tmp_path / 'nothing.pth', tmp_path / 'a.onnx', part, anchor='nobody.npy')


def test_outputs_that_rounding_moves_are_held_to_what_rounding_does(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('mmactclr.apis.deployment.checking.print_log', lambda text, **_: said.append(text))
    # all projections are nearly that of the anchor
    checkpoint = write_tiny_checkpoint(tmp_path / 'a.pth', 'MoCo', collapsed=True)
    anchor = list(joints(2, FRAMES + 3, 17, 9)[0])
    found = export_onnx(checkpoint, tmp_path / 'a.onnx', 'actionlet', anchor=anchor)
    assert max(values['actionlet'] for values in found.values()) > 1e-4
    assert said and all("'actionlet' is badly conditioned" in text for text in said)
    with pytest.raises(ExportError, match="'embedding' differs"):
        export_wrongly(monkeypatch, checkpoint, tmp_path / 'b.onnx')


def export_wrongly(monkeypatch, checkpoint, path):
    """Export a graph whose embedding is a thousandth too large."""
    forward = deployment.ExportedModel.forward

    def wrong(self, keypoint, mask):
        embedding, *others = forward(self, keypoint, mask)
        return embedding * 1.001, *others

    monkeypatch.setattr(deployment.ExportedModel, 'forward', wrong)
    export_onnx(checkpoint, path)


def run_example(*arguments, code=0):
    """Run the example in a process in which neither torch nor this package can be imported: what it said."""
    script = ('import sys, runpy\n'
              'for name in ("torch", "mmactclr", "mmengine", "mmcv"): sys.modules[name] = None\n'
              f'sys.argv = {[str(EXAMPLE), *map(str, arguments)]!r}\n'
              f'runpy.run_path({str(EXAMPLE)!r}, run_name="__main__")')
    done = subprocess.run([sys.executable, '-c', script], text=True, capture_output=True,
                          env={name: value for name, value in os.environ.items() if name != 'PYTHONPATH'})
    assert done.returncode == code and 'Traceback' not in done.stderr, done.stderr[-2000:]
    return done.stderr if code else done.stdout


def write_csv(path, keypoint, layout):
    """A CSV file of persons (M, T, V, 3)."""
    names = [f'{joint}_{axis}' for joint in layout.joints for axis in 'xyz']
    lines = [','.join(['frame', 'person', *names])]
    lines += [','.join([str(t), str(m), *(f'{x:.6f}' for x in frame.ravel())])
              for m, body in enumerate(keypoint) for t, frame in enumerate(body)]
    path.write_text('\n'.join(lines) + '\n')
    return path


@pytest.mark.parametrize('name, persons, frames', [('Recognizer', 1, 31), ('MultiStream', 3, 9), ('Segmentor', 2, 40)])
def test_the_example_says_what_the_inferencer_says(exports, tmp_path, name, persons, frames):
    inferencer, path = exports.inferencer(name), exports(name)[1]
    rng = np.random.default_rng(4)
    shape = (persons, frames, inferencer.layout.num_joints, 3)
    keypoint = (rng.normal(0, .4, (persons, 1, *shape[2:])) + rng.normal(0, .02, shape).cumsum(1)).astype(np.float32)
    if name == 'Recognizer':
        recording = write_csv(tmp_path / 'recording.csv', keypoint, inferencer.layout)
    else:
        recording = tmp_path / 'recording.npy'
        np.save(recording, keypoint)
    said = run_example(path, recording, '--out', tmp_path / 'found.npz')
    arguments = dict(unit='m') | (dict(hop=FRAMES) if name == 'Segmentor' else {})
    expected = inferencer(str(recording), layout=inferencer.layout.name, **arguments)[0]
    with np.load(tmp_path / 'found.npz') as found:
        if name == 'Segmentor':
            # the last window of the inferencer ends with the recording, that of the example begins where one ended
            whole = frames - FRAMES
            assert found['frame_score'].shape == expected.frame_score.shape == (frames, len(CLASSES))
            np.testing.assert_allclose(found['frame_score'][:whole], expected.frame_score[:whole], atol=1e-4)
            return
        assert_close(found['embedding'], expected.embedding)
        if expected.score is not None:
            np.testing.assert_allclose(found['score'], expected.score, atol=1e-4)
            assert f'{expected.label} {expected.score.max():.0%}' in said
        raw = found['actionlet' if name == 'Recognizer' else 'actionlet_joint']
        maps = F.interpolate(torch.from_numpy(raw).transpose(1, 2), frames, mode='linear', align_corners=True)
        maps = maps.transpose(1, 2).numpy()
        # the example has rows for those whom the model takes, the inferencer for all of the recording
        np.testing.assert_allclose(maps / maps.max(), expected.actionlet[:len(maps)], atol=1e-4)
        assert not expected.actionlet[len(maps):].any()
        assert inferencer.layout.joints[raw.sum((0, 1)).argmax()] in said


def recorded(layout, seed=4):
    """(1, 12, V, 3) of a body with a torso of 0.5 m."""
    keypoint = np.random.default_rng(seed).normal(0, .2, (1, 12, layout.num_joints, 3)).astype(np.float32)
    keypoint[:, :, list(layout.hips)] = [0, .9, 0]
    keypoint[:, :, list(layout.shoulders)] = [.1, 1.4, .1]
    return keypoint


BAD_RECORDINGS = {
    'word': (lambda lines: [*lines[:3], lines[3].replace(lines[3].split(',')[5], 'abc')], "line 4: could not convert"),
    'short row': (lambda lines: [*lines[:2], lines[2].rpartition(',')[0], *lines[3:]], 'line 3 has not .* cells'),
    'long row': (lambda lines: [*lines[:2], lines[2] + ',1', *lines[3:]], 'line 3 has not .* cells'),
    'no rows': (lambda lines: lines[:1], 'it has no line after the names'),
    'zeros': (lambda lines: [lines[0], ','.join('0' for _ in lines[1].split(','))], 'nobody is in it'),
    'no column': (lambda lines: [lines[0].replace('_x', '_u', 1), *lines[1:]], "it has no column '.*_x'"),
    'empty': (lambda lines: [], 'it has no column')}


@pytest.mark.parametrize('kind', BAD_RECORDINGS)
def test_the_example_names_what_is_wrong_with_a_recording(exports, tmp_path, kind):
    change, message = BAD_RECORDINGS[kind]
    layout = exports.inferencer('Recognizer').layout
    path = write_csv(tmp_path / 'a.csv', recorded(layout), layout)
    path.write_text('\n'.join(change(path.read_text().splitlines())))
    said = run_example(exports('Recognizer')[1], path, code=1)
    assert re.search(f'^error: .*a.csv: {message}', said) and said.count('\n') == 1


def test_the_example_names_what_it_cannot_open(exports, tmp_path):
    (tmp_path / 'junk.onnx').write_bytes(b'junk')
    for model, recording, named in ((tmp_path / 'no.onnx', 'a.npy', 'no.onnx'),
                                    (tmp_path / 'junk.onnx', 'a', 'junk.onnx'),
                                    (exports('Recognizer')[1], tmp_path / 'no.csv', 'no.csv'),
                                    (exports('Recognizer')[1], tmp_path / 'junk.npy', 'junk.npy')):
        (tmp_path / 'junk.npy').write_bytes(b'junk')
        assert re.match(f'error: .*{named}', run_example(model, recording, code=1))


def test_joints_of_the_example_that_are_no_number_were_not_seen(exports, tmp_path):
    path, layout = exports('Recognizer')[1], exports.inferencer('Recognizer').layout
    keypoint = recorded(layout)
    keypoint[0, 3, 5] = 0
    np.save(tmp_path / 'zero.npy', keypoint)
    keypoint[0, 3, 5, 1] = np.nan
    np.save(tmp_path / 'nan.npy', keypoint)
    example = load_example()
    found = [example.read(str(tmp_path / f'{name}.npy'), dict(layout.to_dict())) for name in ('zero', 'nan')]
    np.testing.assert_array_equal(*found)
    assert 'nan' not in run_example(path, tmp_path / 'nan.npy')


def test_the_example_warns_of_a_unit_that_is_not_the_metre(exports, tmp_path, capsys, monkeypatch):
    path, layout = exports('Recognizer')[1], exports.inferencer('Recognizer').layout
    example = load_example()
    csv = write_csv(tmp_path / 'a.csv', 100 * recorded(layout), layout)
    for arguments, warned in (([], True), (['--metres-per-unit', '0.01'], False)):
        monkeypatch.setattr(sys, 'argv', ['run_onnx.py', str(path), str(csv), *arguments])
        example.main()
        assert ('the median torso is 52 m long, expected 0.2 to 1 m' in capsys.readouterr().err) == warned


def load_example():
    spec = importlib.util.spec_from_file_location('run_onnx', EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_preparation_of_the_example_meets_the_golden_numbers(golden_dir, exports):
    example, about = load_example(), read_metadata(exports('Recognizer')[1])
    about['preparation'][1]['num_frames'] = 50
    with np.load(golden_dir / 'preprocess.npz', allow_pickle=False) as golden:
        for i, expected in enumerate(golden['expected']):
            keypoint, mask = example.prepare(golden[f'raw_{i}'], about)
            np.testing.assert_allclose(keypoint, expected.transpose(3, 1, 2, 0), atol=1e-4)
            assert mask.tolist() == [True, len(golden[f'raw_{i}']) == 2]


def test_public_weights_in_a_file_meet_the_golden_numbers(golden_dir, tmp_path, capsys):
    name = 'official_actclr_ntu60_xview_joint_linear.pt'
    convert_file(golden_dir / name, tmp_path / 'public.pth')
    spec = importlib.util.spec_from_file_location('export_tool', ROOT / 'tools' / 'deployment' / 'export_onnx.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.main([str(tmp_path / 'public.pth'), str(tmp_path / 'public.onnx')])
    assert 'score (N, K)' in capsys.readouterr().out
    with np.load(golden_dir / 'stgcn_forward.npz', allow_pickle=False) as golden:
        keypoint = golden['x'].transpose(0, 4, 2, 3, 1)
        found = run(tmp_path / 'public.onnx', np.ascontiguousarray(keypoint), keypoint.any((2, 3, 4)))
        np.testing.assert_allclose(found['embedding'], golden['pooled'], atol=1e-4)
        np.testing.assert_allclose(found['score'], golden['logits'], atol=1e-4)
    assert json.loads(json.dumps(read_metadata(tmp_path / 'public.onnx')))['card']['classes'][0] == 'drink water'
