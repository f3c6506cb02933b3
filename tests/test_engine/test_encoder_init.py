"""Runs that start from an encoder trained before."""
import logging
from types import SimpleNamespace

import pytest
import torch

from mmactclr.engine import EncoderInitHook
from mmactclr.engine.checkpoints import ModelCard, write_checkpoint
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

SINGLE, THREE = 'actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'


@pytest.fixture
def build(tiny_archive, tiny_config):
    """Builds the model of one of the configs at tiny size, other weights for every seed."""

    def build(config=SINGLE, seed=0, **more):
        torch.manual_seed(seed)
        model = MODELS.build(tiny_config(tiny_archive, config, **more).model)
        model.init_weights()
        return model

    return build


def save(path, model, stream=None):
    """A checkpoint; with a stream it has a card that says so, without one it has none."""
    if stream is None:
        torch.save({'state_dict': model.state_dict()}, path)
        return str(path)
    card = ModelCard(dict(type='ActCLR', stream=stream), get_layout('kinect20_utdmhad').to_dict())
    return str(write_checkpoint(path, model.state_dict(), card))


def start(model, init_from, resume=False):
    runner = SimpleNamespace(model=model, _resume=resume, logger=logging.getLogger('mmactclr.test'))
    EncoderInitHook(init_from).before_train(runner)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_encoder_and_projector_are_copied_and_the_memory_is_not(build, tmp_path):
    source, model = build(seed=1), build()
    source.memory.enqueue(torch.ones(3, 4))
    assert not equal(source.backbone, model.backbone)
    start(model, save(tmp_path / 'a.pth', source))
    for part in ('backbone', 'projector'):
        assert equal(getattr(source, part), getattr(model, part))
        assert equal(getattr(source, part), getattr(model, f'{part}_k'))
    assert int(model.memory.filled) == 0


def test_a_projector_of_another_width_starts_afresh(build, tmp_path, caplog):
    source = build(seed=1, **{'model.projector.hidden_channels': 5})
    model, fresh = build(), build()
    with caplog.at_level(logging.INFO):
        start(model, save(tmp_path / 'a.pth', source))
    assert equal(source.backbone, model.backbone) and equal(fresh.projector, model.projector)
    assert 'the projector starts from random weights' in caplog.text


def test_a_resumed_run_keeps_its_weights(build, tmp_path):
    model, fresh = build(), build()
    start(model, save(tmp_path / 'a.pth', build(seed=1)), resume=True)
    assert equal(model, fresh)


def test_nothing_given_does_nothing(build):
    model, fresh = build(), build()
    start(model, {})
    assert equal(model, fresh)


@pytest.mark.parametrize('named', [True, False])
def test_one_stream_of_three(build, tmp_path, named, caplog):
    source, model, fresh = build(seed=1), build(THREE), build(THREE)
    path = save(tmp_path / 'a.pth', source, 'bone')
    with caplog.at_level(logging.INFO):
        start(model, {'bone': path} if named else path)
    branches, before = model.branches(), fresh.branches()
    assert equal(branches['bone'].backbone, source.backbone)
    assert equal(branches['joint'], before['joint']) and equal(branches['motion'], before['motion'])
    assert 'bone stream starts from' in caplog.text and 'joint stream starts from random weights' in caplog.text


def test_three_streams_from_three_and_one_from_three(build, tmp_path):
    source, model, single = build(THREE, seed=1), build(THREE), build(**{'model.stream': 'motion'})
    path = save(tmp_path / 'a.pth', source)
    start(model, path)
    start(single, path)
    for stream, branch in source.branches().items():
        assert equal(branch.backbone, model.branches()[stream].backbone)
    assert equal(single.backbone, source.branches()['motion'].backbone)


@pytest.mark.parametrize('given, message', [
    ('bone', "holds .'bone'., the run trains .'joint'."),
    ({'joint': 'bone'}, 'init_from.joint: .*not the joint stream'),
    ({'depth': 'bone'}, "names the streams .'depth'., the run trains .'joint'.")])
def test_another_stream_is_refused(build, tmp_path, given, message):
    path = save(tmp_path / 'a.pth', build(seed=1), 'bone')
    given = {stream: path for stream in given} if isinstance(given, dict) else path
    with pytest.raises(ConfigError, match=message):
        start(build(), given)


def test_a_file_that_does_not_say_its_stream_fits_no_run_of_three(build, tmp_path):
    path = save(tmp_path / 'a.pth', build(seed=1))
    with pytest.raises(ConfigError, match='does not say which stream it holds'):
        start(build(THREE), path)
    model = build(THREE)
    start(model, {'motion': path})
    assert equal(model.branches()['motion'].backbone, build(seed=1).backbone)


def test_another_encoder_is_refused_and_a_missing_file_named(build, tmp_path):
    source = build(seed=1, **{'model.backbone.channels': [4, 4, 6], 'model.projector.in_channels': 6})
    with pytest.raises(ConfigError, match='does not fit'):
        start(build(), save(tmp_path / 'a.pth', source))
    with pytest.raises(DataError, match='nowhere.pth'):
        start(build(), str(tmp_path / 'nowhere.pth'))


@pytest.mark.parametrize('damage, message', [
    (lambda s: s | {'projector.layers.0.weight': s['projector.layers.0.weight'] * torch.nan}, 'not finite'),
    (lambda s: s | {'backbone.units.9.gcn.weight': torch.ones(2)}, 'no place in the model'),
    (lambda s: {k: v for k, v in s.items() if not k.endswith('running_mean')}, 'weights of the model are missing')])
def test_damaged_encoders_are_refused(build, tmp_path, damage, message):
    source = build(seed=1)
    card = ModelCard(dict(type='ActCLR'), get_layout('kinect20_utdmhad').to_dict())
    path = write_checkpoint(tmp_path / 'a.pth', damage(dict(source.state_dict())), card)
    with pytest.raises((ConfigError, DataError), match=message):
        start(build(), str(path))


def test_a_card_that_leaves_its_stream_to_the_default_is_of_joints(build, tmp_path):
    path = tmp_path / 'a.pth'
    write_checkpoint(path, build(seed=1).state_dict(), ModelCard(dict(type='ActCLR'), get_layout('ntu25').to_dict()))
    with pytest.raises(ConfigError, match='holds .*joint.*the run trains .*bone'):
        start(build(**{'model.stream': 'bone'}), str(path))
