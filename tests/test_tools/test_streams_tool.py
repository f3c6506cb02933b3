"""Streams out of a checkpoint of three and back, from the command line."""
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmactclr.apis import init_model
from mmactclr.engine.checkpoints import ModelCard, card_of_config, read_checkpoint, state_of, write_checkpoint
from mmactclr.errors import ConfigError, DataError

STREAMS = ('joint', 'motion', 'bone')
THREE = 'actclr_3s_ntu60_xsub'


@pytest.fixture(scope='module')
def script(repo_root):
    return repo_root / 'tools' / 'model_converters' / 'streams.py'


@pytest.fixture(scope='module')
def main(script):
    return runpy.run_path(str(script))['main']


@pytest.fixture(scope='module')
def cfg(tiny_config, tiny_archive):
    return tiny_config(tiny_archive, THREE)


@pytest.fixture(scope='module')
def three(cfg, tmp_path_factory):
    """A checkpoint of three streams, every number of it different."""
    torch.manual_seed(4)
    state = {name: torch.rand_like(value) + 0.1 if value.is_floating_point() and 'adjacency' not in name else value
             for name, value in init_model(cfg).state_dict().items()}
    return write_checkpoint(tmp_path_factory.mktemp('three') / '3s.pth', state, card_of_config(cfg))


@pytest.fixture(scope='module')
def taken(main, three):
    """The three streams, one file each."""
    paths = {stream: three.with_name(f'{stream}.pth') for stream in STREAMS}
    for stream, path in paths.items():
        main(['take', str(three), stream, str(path)])
    return paths


@pytest.fixture
def singles(taken, tmp_path):
    """Copies of the three streams, which a test may change."""
    return {stream: Path(shutil.copy(path, tmp_path)) for stream, path in taken.items()}


@pytest.fixture
def bare(tmp_path):
    """Writes the weights of a checkpoint without its card."""

    def strip(path):
        torch.save({'state_dict': state_of(read_checkpoint(path))}, tmp_path / f'bare_{path.name}')
        return tmp_path / f'bare_{path.name}'

    return strip


def given(paths):
    return [word for stream, path in paths.items() for word in (f'--{stream}', str(path))]


def card(path) -> ModelCard:
    return ModelCard.of(read_checkpoint(path), str(path))


def same_weights(a, b) -> None:
    first, second = (state_of(read_checkpoint(path)) for path in (a, b))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype and torch.equal(value, second[name]), name


def change_card(path, **model) -> None:
    old = card(path)
    edited = ModelCard(**{**vars(old), 'model': {**old.model, **model}})
    write_checkpoint(path, state_of(read_checkpoint(path)), edited)


def test_joining_what_was_taken_changes_no_bit(main, three, singles, tmp_path, capsys):
    capsys.readouterr()
    main(['join', str(tmp_path / 'joined.pth'), *given(singles)])
    said = capsys.readouterr().out
    assert said.startswith(f'{tmp_path / "joined.pth"}: joint from ') and said.count('\n') == 1
    same_weights(three, tmp_path / 'joined.pth')
    main(['take', str(tmp_path / 'joined.pth'), 'bone', str(tmp_path / 'again.pth')])
    assert card(tmp_path / 'again.pth') == card(singles['bone'])
    same_weights(tmp_path / 'again.pth', singles['bone'])


@pytest.mark.parametrize('stream', STREAMS)
def test_a_stream_is_a_model_of_its_own(three, singles, stream, tmp_path):
    """Its card builds it, and its features are those of the branch it was."""
    torch.manual_seed(2)
    joints, mask = torch.randn(3, 2, 16, 20, 3), torch.ones(3, 2, dtype=torch.bool)
    all_three, single = init_model(checkpoint=three), init_model(checkpoint=singles[stream])
    for point, value in single.extract(joints, mask).items():
        assert torch.equal(value, all_three.extract(joints, mask)[f'{stream}.{point}'])
    model = single.card.model
    assert (model['type'], model['stream'], model['data_preprocessor']['streams']) == ('ActCLR', stream, [stream])
    assert single.data_preprocessor.streams == (stream,)
    assert model['data_preprocessor']['views'] == card(three).model['data_preprocessor']['views']


def test_a_stream_goes_into_the_config_of_that_stream(singles, tiny_config, tiny_archive):
    init_model(tiny_config(tiny_archive, 'actclr_motion_ntu60_xsub'), singles['motion'])
    with pytest.raises(ConfigError, match='trained on the motion stream, the model takes bone'):
        init_model(tiny_config(tiny_archive, 'actclr_bone_ntu60_xsub'), singles['motion'])


def test_joined_streams_go_into_the_config_of_three(main, singles, cfg, tmp_path):
    main(['join', str(tmp_path / 'joined.pth'), *given(singles)])
    assert init_model(cfg, tmp_path / 'joined.pth').card.source == THREE
    joined = init_model(checkpoint=tmp_path / 'joined.pth')
    assert list(joined.branches()) == list(STREAMS) and joined.data_preprocessor.streams == STREAMS


def test_two_streams_are_enough(main, singles, tmp_path):
    main(['join', str(tmp_path / '2s.pth'), *given({stream: singles[stream] for stream in ('joint', 'bone')})])
    assert list(init_model(checkpoint=tmp_path / '2s.pth').branches()) == ['joint', 'bone']


def test_old_checkpoints_need_a_config(main, bare, three, singles, tiny_archive, cfg, tmp_path):
    cfg.dump(tmp_path / 'three.py')
    config = ['--config', str(tmp_path / 'three.py')]
    with pytest.raises(ConfigError, match='has no model card.*--config'):
        main(['take', str(bare(three)), 'joint', str(tmp_path / 'a.pth')])
    main(['take', str(bare(three)), 'joint', str(tmp_path / 'a.pth'), *config])
    same_weights(tmp_path / 'a.pth', singles['joint'])

    old = {stream: bare(path) for stream, path in singles.items()}
    with pytest.raises(ConfigError, match='has no model card.*--config'):
        main(['join', str(tmp_path / 'b.pth'), *given(old)])
    main(['join', str(tmp_path / 'b.pth'), *given(old), *config])
    same_weights(tmp_path / 'b.pth', three)
    assert {**card(tmp_path / 'b.pth').model} == card(three).model


@pytest.mark.parametrize('change, says', [
    (dict(key_pooling='average'), r'model.key_pooling is .* in .*joint\.pth. and average in .*bone\.pth'),
    (dict(skip_absent=True), r'model.skip_absent is None in .*joint\.pth. and True in .*bone\.pth'),
    (dict(stream='joint'), r'bone\.pth. is given as bone, its model card says joint')])
def test_only_the_stream_may_differ(main, singles, tmp_path, change, says):
    change_card(singles['bone'], **change)
    with pytest.raises(ConfigError, match=says):
        main(['join', str(tmp_path / 'joined.pth'), *given(singles)])
    assert not (tmp_path / 'joined.pth').exists()


@pytest.mark.parametrize('other', ['joint', 'bone'])
def test_of_other_schedules_that_of_joints_is_taken(main, singles, three, tmp_path, other):
    change_card(singles[other], stage_epochs=(2, 0))
    main(['join', str(tmp_path / 'joined.pth'), *given(singles)])
    same_weights(tmp_path / 'joined.pth', three)
    assert (card(tmp_path / 'joined.pth').model['branch']['stage_epochs'] == (2, 0)) is (other == 'joint')
    assert card(tmp_path / 'joined.pth').model['branch']['stage_epochs'] == card(singles['joint']).model['stage_epochs']


def test_streams_are_given_as_what_they_are(main, singles, tmp_path):
    crossed = {'joint': singles['motion'], 'motion': singles['joint']}
    with pytest.raises(ConfigError, match='is given as joint, its model card says motion'):
        main(['join', str(tmp_path / 'joined.pth'), *given(crossed)])


def test_weights_that_the_config_does_not_fit(main, singles, tiny_config, tiny_archive, tmp_path):
    wider = tiny_config(tiny_archive, THREE, **{'model.branch.memory.size': 32})
    wider.dump(tmp_path / 'wider.py')
    with pytest.raises(ConfigError, match=r'joint\.pth.*memory\.keys'):
        main(['join', str(tmp_path / 'joined.pth'), *given(singles), '--config', str(tmp_path / 'wider.py')])
    single = tiny_config(tiny_archive, 'actclr_joint_ntu60_xsub')
    single.dump(tmp_path / 'single.py')
    with pytest.raises(ConfigError, match='expected a config of several streams'):
        main(['join', str(tmp_path / 'joined.pth'), *given(singles), '--config', str(tmp_path / 'single.py')])


def test_what_cannot_be_taken_or_joined(main, three, singles, tmp_path):
    with pytest.raises(ConfigError, match='holds a single stream; there is nothing to take'):
        main(['take', str(singles['joint']), 'joint', str(tmp_path / 'a.pth')])
    main(['join', str(tmp_path / '2s.pth'), *given({stream: singles[stream] for stream in ('joint', 'bone')})])
    with pytest.raises(ConfigError, match="holds the streams joint, bone, not 'motion'"):
        main(['take', str(tmp_path / '2s.pth'), 'motion', str(tmp_path / 'a.pth')])
    with pytest.raises(ConfigError, match='holds the streams joint, motion, bone, expected joint alone'):
        main(['join', str(tmp_path / 'a.pth'), '--joint', str(three), '--bone', str(singles['bone'])])
    with pytest.raises(ConfigError, match='give two or all of --joint, --motion and --bone'):
        main(['join', str(tmp_path / 'a.pth'), '--joint', str(singles['joint'])])
    with pytest.raises(ConfigError, match='streams joint, motion, bone, checkpoints were given for joint, bone'):
        main(['join', str(tmp_path / 'a.pth'), '--joint', str(singles['joint']), '--bone', str(singles['bone']),
              '--config', THREE])
    assert not (tmp_path / 'a.pth').exists()


def test_nothing_is_replaced_unless_asked(main, three, tmp_path):
    path = tmp_path / 'mine.pth'
    path.write_text('mine')
    with pytest.raises(DataError, match=r'mine\.pth exists.*--overwrite'):
        main(['take', str(three), 'joint', str(path)])
    with pytest.raises(DataError, match='is a folder'):
        main(['take', str(three), 'joint', str(tmp_path), '--overwrite'])
    assert path.read_text() == 'mine'
    main(['take', str(three), 'joint', str(path), '--overwrite'])
    assert card(path).model['stream'] == 'joint'


@pytest.mark.parametrize('words', [['--help'], ['take', '--help'], ['join', '--help']])
def test_help_names_every_word(main, capsys, words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    said = capsys.readouterr().out
    expected = {1: ['take', 'join', 'Examples'], 2: ['DST', '--config', '--overwrite']}[len(words)]
    assert stop.value.code == 0 and all(word in said for word in expected)


def test_the_command_line_refuses_in_one_line(script, tmp_path):
    refused = subprocess.run([sys.executable, script, 'take', tmp_path / 'nowhere.pth', 'joint', tmp_path / 'a.pth'],
                             capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    assert refused.stderr.startswith('error: checkpoint') and refused.stderr.count('\n') == 1
