"""Training with labels on the encoder of a checkpoint: linear, finetuning, from scratch; one stream and three."""
import itertools
import json
from pathlib import Path

import pytest
import torch

from mmactclr.apis import init_model, run_test, run_training
from mmactclr.engine.checkpoints import ModelCard, read_checkpoint
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

from ..conftest import TINY_LAYOUT

# mmengine shares loggers and histories between runs of one name that start in the same second
COUNTER = itertools.count()
BACKBONE = dict(type='STGCN', layout=TINY_LAYOUT, channels=[4, 6, 8], strided_units=[2], dropout=0.5)


def write(path: Path, model: dict) -> Path:
    torch.manual_seed(5)
    built = MODELS.build(model)
    built.init_weights()
    built.train()
    built.extract(torch.randn(8, 2, 16, 20, 3), torch.ones(8, 2, dtype=torch.bool))  # moves batch statistics
    card = ModelCard(model=model, layout=get_layout(TINY_LAYOUT).to_dict(), num_frames=16)
    torch.save({'state_dict': built.state_dict(), 'meta': {'mmactclr': card.to_dict()}}, path)
    return path


@pytest.fixture(scope='module')
def encoder(tmp_path_factory) -> Path:
    model = dict(type='Recognizer', layout=TINY_LAYOUT, backbone=BACKBONE, head=None, stream='motion')
    return write(tmp_path_factory.mktemp('one') / 'encoder.pth', model)


@pytest.fixture(scope='module')
def encoders(tmp_path_factory) -> Path:
    branch = dict(type='Recognizer', layout=TINY_LAYOUT, backbone=BACKBONE, head=None)
    return write(tmp_path_factory.mktemp('three') / 'encoders.pth', dict(
        type='MultiStream', branch=branch, streams=['joint', 'motion', 'bone'],
        fusion=dict(joint=1, motion=.5, bone=1)))


@pytest.fixture
def train(tiny_archive, tmp_path):
    """Trains one of the protocols for a few epochs; returns the runner."""

    def run(protocol: str, init_from: Path | str, name: str = 'run', epochs: int = 3, **options):
        return run_training(f'benchmarks/{protocol}/{protocol}_utdmhad_xsub.py', tmp_path / name, options={
            'data_root': str(tiny_archive), 'init_from': str(init_from), 'train_dataloader.batch_size': 6,
            'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': epochs, 'default_hooks.checkpoint.interval': 1,
            'optim_wrapper.optimizer.lr': .1, 'experiment_name': f'{name}_{next(COUNTER)}', **options})

    return run


def curve(runner) -> list[float]:
    """Loss of every step."""
    return runner.message_hub.get_scalar('train/loss').data[0].tolist()


def weights(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    state = read_checkpoint(path)['state_dict']
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def test_linear_trains_the_head_alone(train, encoder, tmp_path):
    train('linear', encoder)
    before, after = weights(encoder, 'backbone.'), weights(tmp_path / 'run' / 'epoch_3.pth', 'backbone.')
    assert before.keys() == after.keys()
    # batch statistics and their counters included: frozen means eval mode
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert weights(tmp_path / 'run' / 'epoch_3.pth', 'head.')['fc.weight'].std() > .012


@pytest.mark.parametrize('source', ['encoder', 'encoders'])
def test_cached_features_give_the_same_losses(train, source, request, tmp_path):
    checkpoint = request.getfixturevalue(source)
    hooks = dict(type='EncoderInitHook', init_from=str(checkpoint), from_scratch=False)
    cached = curve(train('linear', checkpoint, 'cached', 6))
    plain = curve(train('linear', checkpoint, 'plain', 6, custom_hooks=[hooks]))
    assert len(cached) == 6 * 3 and len(set(cached)) == 6 * 3
    assert cached == pytest.approx(plain, abs=1e-5)


def test_cached_features_are_left_where_views_are_augmented(train, encoder, tmp_path, capfd):
    train('linear', encoder, **{'model.data_preprocessor.views.view.joints': [dict(type='RandomShear')]})
    assert 'views are augmented' in ''.join(capfd.readouterr())


def test_finetuning_starts_from_the_encoder_and_moves_it(train, encoder, tmp_path):
    train('finetune', encoder, **{'optim_wrapper.optimizer.lr': 1e-9})
    before, after = weights(encoder, 'backbone.'), weights(tmp_path / 'run' / 'epoch_3.pth', 'backbone.')
    still = [name for name in before if 'running' not in name and 'num_batches' not in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in still)
    train('finetune', encoder, 'moved')
    after = weights(tmp_path / 'moved' / 'epoch_3.pth', 'backbone.')
    assert not torch.allclose(before['units.0.gcn.weight'], after['units.0.gcn.weight'], atol=1e-4)


def test_from_scratch_is_the_same_network_without_what_it_learned(train, encoder, tmp_path):
    train('finetune', encoder, from_scratch=True, **{'optim_wrapper.optimizer.lr': 1e-9})
    before, after = weights(encoder, 'backbone.'), weights(tmp_path / 'run' / 'epoch_3.pth', 'backbone.')
    assert {name: value.shape for name, value in before.items()} == {name: value.shape for name, value in after.items()}
    assert not torch.allclose(before['units.0.gcn.weight'], after['units.0.gcn.weight'], atol=1e-2)


def test_learning_rates_of_layers(train, encoder, tmp_path):
    runner = train('finetune', encoder, **{
        'optim_wrapper.paramwise_cfg': dict(custom_keys={'backbone': dict(lr_mult=0.)})})
    before, after = weights(encoder, 'backbone.'), weights(tmp_path / 'run' / 'epoch_3.pth', 'backbone.')
    assert torch.equal(before['units.0.gcn.weight'], after['units.0.gcn.weight'])
    assert len({group['lr'] for group in runner.optim_wrapper.optimizer.param_groups}) == 2


def test_the_config_takes_over_what_the_card_says(train, encoder):
    runner = train('finetune', encoder, epochs=1, **{'model.backbone.dropout': 0.})
    model = runner.model
    assert model.stream == 'motion' and model.layout.name == TINY_LAYOUT and model.head.num_classes == 3
    assert [unit.tcn[4].p for unit in model.backbone.units] == [0, 0, 0] and model.backbone.out_channels == 8
    assert runner.train_dataloader.dataset.metainfo['layout'].name == TINY_LAYOUT and runner.cfg.num_frames == 16


def test_three_streams_are_fused_as_the_checkpoint_says(train, encoders, tiny_archive, tmp_path):
    runner = train('linear', encoders)
    assert list(runner.model.branches()) == ['joint', 'motion', 'bone']
    assert runner.model.fusion == dict(joint=1, motion=.5, bone=1)
    checkpoint = tmp_path / 'run' / 'epoch_3.pth'
    metrics = run_test('benchmarks/predict/checkpoint_custom.py', checkpoint, tmp_path / 'test',
                       {'data_root': str(tiny_archive)})
    # the best five of three classes say nothing
    assert {name.removeprefix('classifier/') for name in metrics} == {
        'top1', 'top1_equal', 'joint.top1', 'motion.top1', 'bone.top1'}


def test_the_result_knows_its_classes_and_is_tested_by_the_same_config(train, encoder, tiny_archive, tmp_path):
    train('finetune', encoder)
    checkpoint = tmp_path / 'run' / 'epoch_3.pth'
    model = init_model(checkpoint=checkpoint)
    assert model.card.classes == ['right hand', 'left hand', 'both']
    metrics = run_test('benchmarks/finetune/finetune_utdmhad_xsub.py', checkpoint, tmp_path / 'test',
                       {'data_root': str(tiny_archive)})
    validated = json.loads((tmp_path / 'run' / 'metrics.json').read_text())['val']['metrics']
    assert metrics['classifier/top1'] == pytest.approx(validated['classifier/top1'])


def test_resumed_runs_go_on(train, encoder, tmp_path):
    train('finetune', encoder, 'whole', 4)
    train('finetune', encoder, 'parts', 2, **{'param_scheduler.milestones': [250]})
    options = {'train_cfg.max_epochs': 4, 'train_cfg.val_interval': 4}
    from mmactclr.utils import load_config  # the archive and sizes are those of the first part
    cfg = load_config(next((tmp_path / 'parts').glob('*.py')), options)
    run_training(cfg, tmp_path / 'parts', resume='auto')
    whole, parts = (weights(tmp_path / name / 'epoch_4.pth', '') for name in ('whole', 'parts'))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_what_is_missing_is_named(train, encoder, tmp_path, write_tiny_archive):
    with pytest.raises(ConfigError, match='init_from=CKPT'):
        train('finetune', '')
    torch.save({'state_dict': weights(encoder, '')}, tmp_path / 'bare.pth')
    with pytest.raises(ConfigError, match='no model card'):
        train('finetune', tmp_path / 'bare.pth')
    with pytest.raises((ConfigError, DataError), match='num_classes=2'):
        train('finetune', encoder, num_classes=2)
    with pytest.raises(ConfigError, match='frozen=True'):
        train('finetune', encoder, custom_hooks=[dict(type='FeatureCacheHook')])


def test_semi_supervised_runs_write_down_which_labels_they_used(encoder, tiny_archive, tmp_path):
    def run(name: str, **options):
        return run_training('benchmarks/semi/semi10_utdmhad_xsub.py', tmp_path / name, options={
            'data_root': str(tiny_archive), 'init_from': str(encoder), 'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1, 'experiment_name': f'{name}_{next(COUNTER)}', **options})

    runner = run('share')
    content = json.loads((tmp_path / 'share' / 'label_subset.json').read_text())
    dataset = runner.train_dataloader.dataset
    # one of the six training sequences of each class is more than a tenth, and the least there can be
    assert len(dataset) == len(content['names']) == 3 and content['fraction'] == .1 and content['seed'] == 0
    assert content['names'] == dataset.archive.column('name')[dataset.index].tolist()
    assert sorted(dataset.labels.tolist()) == [0, 1, 2]
    # the checkpoint is one that can be read
    checkpoint = tmp_path / 'share' / 'epoch_1.pth'
    metrics = run_test('benchmarks/semi/semi10_utdmhad_xsub.py', checkpoint, tmp_path / 'test', {
        'data_root': str(tiny_archive), 'init_from': str(encoder)})
    assert metrics['classifier/top1'] == pytest.approx(
        json.loads((tmp_path / 'share' / 'metrics.json').read_text())['val']['metrics']['classifier/top1'])
    again = run('again', label_subset=str(tmp_path / 'share' / 'label_subset.json'))
    assert again.train_dataloader.dataset.index.tolist() == dataset.index.tolist()
    other = run('other', **{'label_subset.seed': 1})
    assert other.train_dataloader.dataset.index.tolist() != dataset.index.tolist()
