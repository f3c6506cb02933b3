"""The command lines for inference and for search by example, as a user would type them."""
import importlib.util
import json
import re

import numpy as np
import pytest
from PIL import Image

from mmactclr.apis.inferencing.command import file_names
from mmactclr.datasets import SkeletonArchive
from mmactclr.utils.cli import report_errors
from mmactclr.visualization import Viewpoint
from tests.test_apis.test_inferencer import BACKBONE, CLASSES, head, motion, save


@pytest.fixture(scope='module')
def tools(repo_root):
    """``run(tool, *arguments)`` gives the exit code."""

    def run(name, *arguments):
        spec = importlib.util.spec_from_file_location(name, repo_root / 'tools' / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        try:
            with report_errors():
                module.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    return run


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp('weights') / 'c.pth', dict(
        type='Recognizer', layout='kinect20_utdmhad', backbone=BACKBONE, head=head()), CLASSES)


def test_from_a_recording_to_class_neighbours_and_picture(tools, checkpoint, tiny_archive, tmp_path, capsys):
    assert tools('gallery', 'build', checkpoint, tiny_archive, tmp_path / 'g.npz') == 0
    sequence = SkeletonArchive.open(tiny_archive).sequence(5)
    np.save(tmp_path / 'five.npy', sequence)
    assert tools('infer', checkpoint, tmp_path / 'five.npy', '--gallery', tmp_path / 'g.npz', '--top', 2, '--gif',
                 '--anchor', tiny_archive, '--out', tmp_path / 'out') == 0
    said = capsys.readouterr().out
    assert 'five.npy moves like' in said and '1.000  take5  (both)' in said
    found = json.loads((tmp_path / 'out' / 'results.json').read_text())[0]
    assert found['label'] in CLASSES and f'{found["label"]} ' in said and found['neighbours'][0]['similarity'] > .999
    with np.load(tmp_path / 'out' / 'results.npz', allow_pickle=False) as content:
        assert content['embedding'].shape == (1, 8) and content['actionlet_0'].shape == (2, sequence.shape[1], 20)
    with Image.open(tmp_path / 'out' / 'five.gif') as picture:
        assert picture.n_frames == sequence.shape[1]
    assert tools('gallery', 'search', checkpoint, tmp_path / 'g.npz', tmp_path / 'five.npy', '-k', 1) == 0
    assert capsys.readouterr().out.count('\n') == 2


def test_a_long_recording_is_printed_in_parts(tools, checkpoint, tmp_path, capsys):
    np.save(tmp_path / 'long.npy', motion(60))
    assert tools('infer', checkpoint, tmp_path / 'long.npy', '--window', 20) == 0
    assert 'frames 0-' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'message'), [
    (['nothing.npy'], 'nothing.npy does not exist'), (['{array}', '--layout', 'nobody'], "'nobody'"),
    (['{array}', '--gallery', 'nothing.npz'], 'nothing.npz cannot be read'), (['{array}', '--top', '0'], '--top is 0'),
    (['{array}', '--gif'], '--gif needs --out'), (['{array}', '--mp4'], '--mp4 needs --out'),
    (['{array}', '--gallery', '{array}'], 'expected a file of tools/gallery.py build'),
    (['{array}', '--unit', 'banana'], "error: unit is 'banana', expected one of m, "),
    (['{array}', '--unit', 'm', '--metres-per-unit', '1'], 'give one of them'),
    (['{array}', '--layout', 'coco17'], 'name the layout of the recording with --layout')])
def test_bad_input_is_one_line(tools, checkpoint, tmp_path, capsys, arguments, message):
    np.save(tmp_path / 'a.npy', motion(20))
    given = [argument.format(array=tmp_path / 'a.npy') for argument in arguments]
    assert tools('infer', checkpoint, *given) in (1, 2)
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_recordings_are_drawn_upright(tools, checkpoint, tmp_path, monkeypatch, capsys):
    """Of the same motion with z up the same is drawn, whether the axis is given or estimated."""
    drawn = {}

    def draw(keypoint, layout, path, *more):
        drawn[path.parent.name] = keypoint
        return path

    monkeypatch.setattr('mmactclr.apis.inferencing.command.draw_motion', draw)
    joints = motion(6)
    joints[:, :, [4, 8]], joints[:, :, [12, 16]] = [[.2, .5, 0], [-.2, .5, 0]], [[.1, 0, 0], [-.1, 0, 0]]
    np.save(tmp_path / 'y.npy', joints)
    np.save(tmp_path / 'z.npy', joints[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32))
    for name, source, *options in (('plain', 'y.npy'), ('given', 'z.npy', '--up', '+z'), ('estimated', 'z.npy')):
        assert tools('infer', checkpoint, tmp_path / source, '--gif', '--out', tmp_path / name, *options) == 0
    said = capsys.readouterr()
    assert 'note: ' in said.err and '+z turned up to +y' in said.err and '+y is taken as up, though' in said.err
    assert 'note' not in said.out and set(drawn) == {'plain', 'given', 'estimated'}
    for keypoint in drawn.values():
        np.testing.assert_allclose(keypoint, joints, atol=1e-6)


def test_a_video(tools, checkpoint, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / 'a.npy', motion(6))
    given = ['infer', checkpoint, tmp_path / 'a.npy', '--mp4', '--out', tmp_path / 'out']
    with monkeypatch.context() as patch:
        patch.setattr('mmactclr.visualization.animation.FFMpegWriter.isAvailable', lambda: False)
        assert tools(*given) == 1
        assert 'an .mp4 needs ffmpeg: pip install imageio-ffmpeg' in capsys.readouterr().err
        # before the checkpoint is read and anything written
        assert not (tmp_path / 'out').exists()
        assert tools('infer', tmp_path / 'no.pth', *given[2:]) == 1
        assert 'needs ffmpeg' in capsys.readouterr().err
    imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg')
    assert tools(*given) == 0 and not (tmp_path / 'out' / 'a.gif').exists()
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / 'out' / 'a.mp4'))[0] == 6


def test_an_animation_in_space(tools, checkpoint, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / 'a.npy', motion(6))
    given = ['infer', checkpoint, tmp_path / 'a.npy', '--gif', '--out']
    for name, *view in (('flat',), ('space', '--view', '3d'), ('behind', '--view', '3d', '--azimuth', '200')):
        assert tools(*given, tmp_path / name, *view) == 0
    pictures = {(tmp_path / name / 'a.gif').read_bytes() for name in ('flat', 'space', 'behind')}
    assert len(pictures) == 3
    with Image.open(tmp_path / 'space' / 'a.gif') as picture:
        assert picture.n_frames == 6
    # the recording is drawn from there, not something else
    views = []
    monkeypatch.setattr('mmactclr.apis.inferencing.command.draw_motion', lambda *given: views.append(given[-1]))
    for view in ([], ['--view', '3d', '--elevation', '5']):
        assert tools(*given, tmp_path / 'more', *view) == 0
    assert views == [None, Viewpoint(5, 35)]
    capsys.readouterr()
    assert tools(*given, tmp_path / 'no', '--view', '3d', '--elevation', '99') == 1
    assert 'elevation 99' in capsys.readouterr().err
    assert tools('infer', checkpoint, tmp_path / 'a.npy', '--view', '3d') == 2
    assert '--view 3d is how --gif and --mp4 are drawn' in capsys.readouterr().err
    assert not (tmp_path / 'no').exists()


def test_results_that_cannot_be_written_leave_nothing(tools, checkpoint, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / 'a.npy', motion(6))
    plain = np.savez

    def fails(path, **columns):
        plain(path, **columns)
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np, 'savez', fails)
    assert tools('infer', checkpoint, tmp_path / 'a.npy', '--out', tmp_path / 'out') == 1
    assert 'No space left' in capsys.readouterr().err
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['results.json']


@pytest.mark.parametrize('names', [
    ['x', 'x', 'x_1'], ['x', 'x', 'x_1', 'x_2', 'x_1'], ['X.csv', 'x.csv', 'a/x'], ['?', '!', ''], ['a.b', 'a.c'],
    ['a'] * 12], ids=str)
def test_file_names_differ(names):
    found = file_names(names)
    assert len({name.lower() for name in found}) == len(names) and all(re.fullmatch(r'[\w-]+', name) for name in found)


def test_an_archive_of_an_anchor_says_everything_itself(tools, checkpoint, tiny_archive, tmp_path, capsys):
    """What is said of the inputs does not hold for it."""
    np.save(tmp_path / 'a.npy', 100 * motion(6))
    given = ['infer', checkpoint, tmp_path / 'a.npy', '--unit', 'cm', '--out', tmp_path / 'out']
    assert tools(*given, '--anchor', tiny_archive) == 0
    np.save(tmp_path / 'anchor.npy', 100 * motion(6))
    assert tools(*given, '--anchor', tmp_path / 'anchor.npy') == 0
