"""Models and evaluations from what a checkpoint says of itself."""
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmactclr.apis import init_model, run_test, run_training
from mmactclr.engine import SafeCheckpointHook
from mmactclr.engine.checkpoints import ModelCard, card_of_config, write_checkpoint
from mmactclr.errors import ConfigError, DataError
from mmactclr.models import Recognizer
from mmactclr.registry import DATASETS, MODELS
from mmactclr.structures import get_layout

NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
STEPS = [dict(type='Centre'), dict(type='ResizeFrames', num_frames=16)]


@pytest.fixture(scope='module')
def settings(tiny_config, tiny_archive):
    """Config of the runs of this file, whose data have a preparation of their own."""

    def load(config='actclr_joint_ntu60_xsub', **more):
        # the anchor needs the frames of the data, and nothing else here trains for long
        frames = more.get('num_frames', 16)
        own = [{**step, 'num_frames': frames} if 'num_frames' in step else step for step in STEPS]
        steps = {f'{loader}.dataset.preparation': own for loader in ('train_dataloader', 'test_dataloader')}
        return tiny_config(tiny_archive, config, **{**NO_VALIDATION, **steps, **more})

    return load


@pytest.fixture(scope='module')
def trained(settings, tmp_path_factory) -> Path:
    """Checkpoint of a short run of ActCLR."""
    folder = tmp_path_factory.mktemp('trained')
    run_training(settings(), folder)
    return folder / 'epoch_2.pth'


@pytest.fixture
def bare(trained, tmp_path) -> Path:
    """The same without a card."""
    checkpoint = torch.load(trained, weights_only=True)
    del checkpoint['meta']['mmactclr']
    torch.save(checkpoint, tmp_path / 'bare.pth')
    return tmp_path / 'bare.pth'


def test_a_checkpoint_says_what_it_is(trained, settings):
    checkpoint = torch.load(trained, weights_only=True)
    card = ModelCard.of(checkpoint, 'x')
    assert card == card_of_config(settings())
    assert (card.model['type'], card.num_frames, card.max_persons, card.preparation) == ('ActCLR', 16, 2, STEPS)
    assert card.joint_layout() == get_layout('kinect20_utdmhad') and card.classes == []
    assert card.source == 'actclr_joint_ntu60_xsub'


def test_a_model_without_a_config_is_the_model_of_the_config(trained, settings):
    cfg = settings()
    batch = DATASETS.build(cfg.test_dataloader.dataset).__getitems__([0, 5, 20])
    alone, configured = init_model(checkpoint=trained), init_model(cfg, trained)
    assert alone.card == configured.card == card_of_config(cfg)
    assert not alone.training and type(alone) is type(configured)
    for name, value in configured.state_dict().items():
        assert torch.equal(alone.state_dict()[name], value), name
    for point, value in configured.extract(batch['inputs'], batch['mask']).items():
        assert torch.equal(alone.extract(batch['inputs'], batch['mask'])[point], value)


def test_a_config_that_leaves_the_model_to_the_checkpoint(trained, settings):
    cfg = settings()
    cfg.model = 'checkpoint'
    assert type(init_model(cfg, trained)).__name__ == 'ActCLR'
    with pytest.raises(ConfigError, match="model='checkpoint' needs a checkpoint"):
        init_model(cfg)


def test_what_only_training_needs_may_be_missing_and_is_not_listed(trained, settings, tmp_path, capfd):
    checkpoint = torch.load(trained, weights_only=True)
    kept = {name: value for name, value in checkpoint['state_dict'].items() if '_k.' not in name}
    torch.save({'meta': {'mmactclr': checkpoint['meta']['mmactclr']}, 'state_dict': kept}, tmp_path / 'short.pth')
    whole = run_test(evaluated(settings()), trained, tmp_path / 'a')
    capfd.readouterr()
    assert run_test(evaluated(settings()), tmp_path / 'short.pth', tmp_path / 'b') == whole
    said = ''.join(capfd.readouterr()) + ''.join(path.read_text() for path in (tmp_path / 'b').rglob('*.log'))
    assert 'missing keys' not in said
    assert sum('which only training needs' in line for line in said.splitlines()) <= 2
    assert sum('backbone_k.' in line for line in said.splitlines()) == 0


def test_old_checkpoints_need_a_config(bare, settings):
    assert init_model(settings(), bare).card is None
    assert init_model(settings()).card is None
    with pytest.raises(ConfigError, match=r"bare\.pth' has no model card.*name the config"):
        init_model(checkpoint=bare)
    with pytest.raises(ConfigError, match='needs a config, a checkpoint or both'):
        init_model()


def test_a_joint_checkpoint_in_a_motion_config(trained, settings):
    motion = settings('actclr_motion_ntu60_xsub')
    with pytest.raises(ConfigError, match='trained on the joint stream, the model takes motion'):
        init_model(motion, trained)


def evaluated(cfg):
    """The config with the quick evaluator alone."""
    cfg.test_evaluator = cfg.test_evaluator[:1]
    return cfg


def test_one_config_evaluates_whatever_a_checkpoint_holds(trained, settings, tmp_path):
    """Whatever the config says of joints, frames, persons and preparation, the checkpoint knows better."""
    own = run_test(evaluated(settings()), trained, tmp_path / 'own')
    cfg = evaluated(settings(num_frames=12, max_persons=1, layout='ntu25'))
    del cfg.test_dataloader.dataset.preparation
    cfg.model = 'checkpoint'
    found = run_test(cfg, trained, tmp_path / 'card')
    # resized to the frames of the card as well
    assert found == own and 'untrained_encoder/knn/backbone_k20' in found


@pytest.fixture
def on_card(settings, tmp_path):
    """Writes a config that takes its model from the checkpoint; returns its path."""
    cfg = evaluated(settings())
    cfg.model = 'checkpoint'
    cfg.test_cfg.baselines = {}
    cfg.dump(tmp_path / 'on_card.py')
    return tmp_path / 'on_card.py'


def test_options_that_are_named_stay(on_card, settings, tmp_path):
    moco = settings('moco_joint_ntu60_xsub')
    path = write_checkpoint(tmp_path / 'moco.pth', init_model(moco).state_dict(), card_of_config(moco))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        extract = MODELS.get('MoCo').extract
        patch.setattr('mmactclr.models.MoCo.extract', lambda self, x, mask: seen.append(x.shape) or extract(
            self, x, mask))
        run_test(on_card, path, tmp_path / 'a', options={'num_frames': 24, 'max_persons': 1})
        run_test(on_card, path, tmp_path / 'b')
    assert {tuple(shape[1:3]) for shape in seen} == {(1, 24), (2, 16)}


@pytest.mark.parametrize('options, says', [
    ({'layout': 'ntu25'}, r"'ntu25' \(25 joints\).*'kinect20_utdmhad' \(20 joints\)"),
    ({'num_frames': 24}, r'anchor is \(2, 16, 20, 3\) instead of \(2, 24, 20, 3\); set num_frames'),
    ({'model.stream': 'motion'}, 'does not fit')])
def test_options_that_the_weights_do_not_fit_are_refused(on_card, trained, tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        run_test(on_card, trained, tmp_path / 'out', options=options)


def test_an_old_checkpoint_needs_its_own_config(on_card, bare, tmp_path):
    with pytest.raises(ConfigError, match=r"bare\.pth' has no model card.*model='checkpoint'"):
        run_test(on_card, bare, tmp_path / 'out')


def recognizer_config() -> dict:
    return dict(type='Recognizer', layout='kinect20_utdmhad', stream='motion',
                backbone=dict(type='STGCN', layout='kinect20_utdmhad', channels=[4, 8], strided_units=[2]),
                head=dict(type='ClassificationHead', in_channels=8, num_classes=3))


def test_a_recogniser_is_evaluated_like_any_other(on_card, tmp_path):
    card = ModelCard(recognizer_config(), get_layout('kinect20_utdmhad').to_dict(), 16, 2, classes=['a', 'b', 'c'])
    path = write_checkpoint(tmp_path / 'file.pth', card.build('x').state_dict(), card)
    assert 0 <= run_test(on_card, path, tmp_path / 'out')['knn/backbone_k20'] <= 100
    model = init_model(checkpoint=path)
    assert isinstance(model, Recognizer) and model.card == card


@pytest.mark.parametrize('several', [False, True])
def test_a_recogniser_without_views_is_not_trained(settings, tmp_path, several):
    cfg = settings()
    single = recognizer_config()
    cfg.model = dict(type='MultiStream', branch=single, streams=['joint', 'bone']) if several else single
    with pytest.raises(ConfigError, match='model Recognizer has no data_preprocessor.*benchmarks/linear'):
        run_training(cfg, tmp_path)


def test_a_recogniser_has_nothing_for_the_hooks_of_pretraining(settings, tmp_path):
    cfg = settings()
    views = dict(type='ContrastivePreprocessor', layout=cfg.layout, views=dict(view={}), streams=['motion'])
    cfg.model = dict(recognizer_config(), data_preprocessor=views)
    with pytest.raises(ConfigError, match='StaticAnchorHook drives methods .* the model is Recognizer'):
        run_training(cfg, tmp_path)


def test_a_baseline_is_not_trained(settings, tmp_path):
    cfg = settings()
    cfg.model = dict(type='FeatureBaseline', backbone=dict(type='RawCoordinates'))
    with pytest.raises(ConfigError, match='model FeatureBaseline .*no losses.*ActCLR or MoCo'):
        run_training(cfg, tmp_path)


def test_the_model_of_a_checkpoint_is_not_trained(settings, tmp_path):
    cfg = settings()
    cfg.model = 'checkpoint'
    with pytest.raises(ConfigError, match="model='checkpoint'.*name a model to train"):
        run_training(cfg, tmp_path)


def test_weights_alone_do_not_go_on(trained, settings, tmp_path):
    state = torch.load(trained, weights_only=True)['state_dict']
    path = write_checkpoint(tmp_path / 'weights.pth', state, card_of_config(settings()))
    with pytest.raises(ConfigError, match=r'cannot go on.*load_from=.*weights\.pth'):
        run_training(settings(), tmp_path / 'out', resume=str(path))


def test_code_in_a_checkpoint_is_not_executed_at_resume(trained, settings, tmp_path):
    """mmengine runs ``meta['config']`` of a checkpoint that is resumed."""
    checkpoint = torch.load(trained.with_name('epoch_1.pth'), weights_only=True)
    target = tmp_path / 'executed'
    checkpoint['meta']['config'] = f'import pathlib\npathlib.Path({str(target)!r}).touch()\n'
    torch.save(checkpoint, tmp_path / 'hostile.pth')
    runner = run_training(settings(), tmp_path / 'out', resume=str(tmp_path / 'hostile.pth'))
    assert runner.epoch == 2 and not target.exists()


def test_a_model_that_is_no_plain_data_leaves_the_checkpoint_without_a_card():
    checkpoint = {'meta': {}, 'state_dict': {}}
    model = dict(type='Recognizer', layout='ntu25', backbone=object())
    SafeCheckpointHook().before_save_checkpoint(SimpleNamespace(cfg=dict(model=model)), checkpoint)
    assert checkpoint['meta'] == {}


def test_a_damaged_card_is_refused_with_a_config_as_well(trained, settings, tmp_path):
    checkpoint = torch.load(trained, weights_only=True)
    checkpoint['meta']['mmactclr']['num_frames'] = -1
    torch.save(checkpoint, tmp_path / 'file.pth')
    for call in (lambda: init_model(settings(), tmp_path / 'file.pth'),
                 lambda: run_test(settings(), tmp_path / 'file.pth', tmp_path / 'out')):
        with pytest.raises(DataError, match='card is damaged .num_frames is -1'):
            call()
