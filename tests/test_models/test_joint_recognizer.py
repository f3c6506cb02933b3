"""Classifiers of several streams on the mean of their scores, against the same numbers taken step by step."""
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmactclr.apis import run_test, run_training
from mmactclr.engine.checkpoints import ModelCard, read_checkpoint
from mmactclr.errors import ConfigError
from mmactclr.models import JointRecognizer
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

# mmengine shares loggers and histories between runs of one name that start in the same second
COUNTER = itertools.count()
LAYOUT, STREAMS = 'kinect20_utdmhad', ['joint', 'motion', 'bone']
BACKBONE = dict(type='STGCN', layout=LAYOUT, channels=[4, 6, 8], strided_units=[2], dropout=0.0)
BRANCH = dict(type='Recognizer', layout=LAYOUT, backbone=BACKBONE,
              head=dict(type='ClassificationHead', in_channels=8, num_classes=3))
JOINT = {'model.multi_stream.type': 'JointRecognizer'}


def make(streams=('joint', 'motion', 'bone'), **more) -> JointRecognizer:
    torch.manual_seed(3)
    model = MODELS.build(dict(
        type='JointRecognizer', branch=BRANCH, streams=list(streams), data_preprocessor=dict(
            type='ContrastivePreprocessor', layout=LAYOUT, streams=list(streams), views=dict(view=dict(joints=[]))),
        **more))
    model.init_weights()
    for branch in model.branches().values():
        branch.head.fc.weight.data.normal_()
    return model


def make_batch(n: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(inputs=torch.randn(n, 2, 12, 20, 3), mask=torch.ones(n, 2, dtype=torch.bool), index=torch.arange(n),
                label=torch.arange(n) % 3)


@pytest.mark.parametrize('streams', [('joint', 'motion', 'bone'), ('joint', 'motion')])
def test_the_loss_is_cross_entropy_of_the_mean_of_the_scores(streams):
    model, batch = make(streams).eval(), make_batch()
    features = model.extract(batch['inputs'], batch['mask'])
    scores = np.mean([features[f'{stream}.score'].double().numpy() for stream in streams], 0)
    expected = np.mean([np.log(np.exp(row).sum()) - row[label]
                        for row, label in zip(scores, batch['label'].tolist(), strict=True)])
    ((name, loss),) = model.losses(model.training_views(batch))
    assert name == 'loss_cls' and loss.item() == pytest.approx(expected, rel=1e-5)
    # what is trained is what is tested
    np.testing.assert_allclose(features['score'], scores, rtol=1e-5, atol=1e-6)
    assert model.log_scalars['train_top1'] == pytest.approx(100 * np.mean(scores.argmax(1) == batch['label'].numpy()))


def test_every_stream_learns_from_the_error_of_the_mean():
    """d loss / d scores of a stream = (softmax of the mean - one-hot) / (streams * N), the same in all of them."""
    model, batch = make().eval(), make_batch()
    features = model.extract(batch['inputs'], batch['mask'])
    error = features['score'].softmax(1)
    error[torch.arange(5), batch['label']] -= 1
    ((_, loss),) = model.losses(model.training_views(batch))
    loss.backward()
    for stream, branch in model.branches().items():
        torch.testing.assert_close(branch.head.fc.bias.grad, error.sum(0) / 15, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(branch.head.fc.weight.grad, error.t() @ features[f'{stream}.backbone'] / 15,
                                   atol=1e-5, rtol=1e-4)


def test_other_branches_are_named():
    segmentor = dict(BRANCH, type='Segmentor')
    with pytest.raises(ConfigError, match='branch is of type Segmentor, expected Recognizer'):
        JointRecognizer(segmentor)


# as a linear protocol

def write(path: Path, model: dict) -> Path:
    torch.manual_seed(5)
    built = MODELS.build(model)
    built.init_weights()
    card = ModelCard(model=model, layout=get_layout(LAYOUT).to_dict(), num_frames=16)
    torch.save({'state_dict': built.state_dict(), 'meta': {'mmactclr': card.to_dict()}}, path)
    return path


@pytest.fixture(scope='module')
def encoders(tmp_path_factory) -> Path:
    """Three encoders whose checkpoint asks for another fusion."""
    return write(tmp_path_factory.mktemp('three') / 'encoders.pth', dict(
        type='MultiStream', branch=dict(BRANCH, head=None), streams=STREAMS, fusion=dict(joint=1, motion=0, bone=0)))


@pytest.fixture
def train(tiny_archive, tmp_path):
    """Trains a linear classifier for a few epochs; returns the runner."""

    def run(init_from: Path, name: str, **options):
        return run_training('benchmarks/linear/linear_utdmhad_xsub.py', tmp_path / name, options={
            'data_root': str(tiny_archive), 'init_from': str(init_from), 'train_dataloader.batch_size': 6,
            'train_cfg.max_epochs': 6, 'train_cfg.val_interval': 6, 'optim_wrapper.optimizer.lr': 1.,
            'default_hooks.checkpoint.interval': 6, 'experiment_name': f'{name}_{next(COUNTER)}', **options})

    return run


def curve(runner) -> list[float]:
    return runner.message_hub.get_scalar('train/loss').data[0].tolist()


def test_the_linear_protocol_trains_on_the_mean_if_asked_to(train, encoders, tmp_path, tiny_archive):
    joint, apart = train(encoders, 'joint', **JOINT), train(encoders, 'apart')
    assert type(joint.model) is JointRecognizer and joint.model.fusion == dict.fromkeys(STREAMS, 1 / 3)
    assert apart.model.fusion == dict(joint=1, motion=0, bone=0)
    heads = [[branch.head.fc.weight for branch in runner.model.branches().values()] for runner in (joint, apart)]
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in zip(*heads, strict=True))
    # the log has one loss, and the hit rate of the mean
    names = {name for name in joint.message_hub.log_scalars if name.startswith('train/')}
    assert {'train/loss', 'train/loss_cls', 'train/train_top1'} <= names and not any('joint.' in name for name in names)
    # encoders stay as they were
    state = read_checkpoint(encoders)['state_dict']
    trained = read_checkpoint(tmp_path / 'joint' / 'epoch_6.pth')['state_dict']
    assert all(torch.equal(value, trained[name]) for name, value in state.items())
    # the file says how it is scored
    metrics = json.loads((tmp_path / 'joint' / 'metrics.json').read_text())['val']['metrics']
    assert metrics['classifier/top1'] == pytest.approx(metrics['classifier/top1_equal'])
    again = run_test('benchmarks/predict/checkpoint_custom.py', tmp_path / 'joint' / 'epoch_6.pth', tmp_path / 'test',
                     {'data_root': str(tiny_archive)})
    assert again['classifier/top1'] == pytest.approx(metrics['classifier/top1'])


def test_cached_features_give_the_same_losses(train, encoders):
    hooks = [dict(type='EncoderInitHook', init_from=str(encoders), from_scratch=False)]
    cached, plain = curve(train(encoders, 'cached', **JOINT)), curve(
        train(encoders, 'plain', custom_hooks=hooks, **JOINT))
    assert len(cached) == 6 * 3 and cached == pytest.approx(plain, abs=1e-5)


def test_a_checkpoint_of_one_stream_has_nothing_to_join(train, tmp_path):
    single = write(tmp_path / 'one.pth', dict(BRANCH, head=None, stream='motion'))
    joint, plain = train(single, 'joint', **JOINT), train(single, 'plain')
    assert type(joint.model) is type(plain.model) and joint.model.stream == 'motion'
    assert curve(joint) == curve(plain)


def test_a_diverged_training_is_said_once_and_of_all_streams(train, encoders, capfd):
    train(encoders, 'diverged', **{**JOINT, 'optim_wrapper.optimizer.lr': 1e6})
    said = ''.join(capfd.readouterr())
    assert said.count('the classifiers of all streams together end with a training loss of') == 1
    assert 'classifier of the' not in said


def test_a_fusion_is_refused():
    with pytest.raises(ConfigError, match='fusion is .* leave fusion out'):
        JointRecognizer(BRANCH, fusion=dict(joint=1.))
