"""The command lines for inference and for search by example, as a user would type them."""
import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from mmactclr.datasets import SkeletonArchive
from mmactclr.utils.cli import report_errors
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
    (['{array}', '--gif'], '--gif needs --out')])
def test_bad_input_is_one_line(tools, checkpoint, tmp_path, capsys, arguments, message):
    np.save(tmp_path / 'a.npy', motion(20))
    given = [argument.format(array=tmp_path / 'a.npy') for argument in arguments]
    assert tools('infer', checkpoint, *given) in (1, 2)
    assert message in capsys.readouterr().err.splitlines()[-1]
