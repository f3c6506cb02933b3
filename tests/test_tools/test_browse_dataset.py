"""browse_dataset.py as a user types it."""
import os
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.errors import ConfigError, MMActCLRError
from mmactclr.visualization import animation, contact_sheet


@pytest.fixture(scope='module')
def main(repo_root):
    return runpy.run_path(str(repo_root / 'tools' / 'visualization' / 'browse_dataset.py'))['main']


@pytest.fixture
def shown(monkeypatch):
    """Collects what is drawn instead of drawing it."""
    sheets = []
    monkeypatch.setattr(contact_sheet, 'draw_contact_sheet', lambda page, path, **_: sheets.append(page) or path)
    monkeypatch.setattr(animation, 'draw_animation', lambda sequence, path: path)
    return sheets


@pytest.fixture
def config(tiny_archive, tiny_config, tmp_path):
    def write(name='actclr_3s_ntu60_xsub', **more):
        tiny_config(tiny_archive, name, **more).dump(str(tmp_path / f'{name}.py'))
        return str(tmp_path / f'{name}.py')

    return write


def test_an_archive_raw_and_prepared(main, tiny_archive, tmp_path, capsys):
    main([str(tiny_archive), '--out', str(tmp_path / 'new' / 'out'), '--number', '3', '--animate'])
    lines = capsys.readouterr().out.splitlines()
    files = sorted(path.name for path in (tmp_path / 'new' / 'out').iterdir())
    assert lines[0].endswith('sheet.png: 3 sequences, 6 rows') and len(lines) == 4
    assert files[-1] == 'sheet.png' and all(re.fullmatch(r'0\d_take\d+\.gif', name) for name in files[:-1])
    archive = SkeletonArchive.open(tiny_archive)
    for name in files[:-1]:
        i = archive.column('name').tolist().index(name[3:-4])
        with Image.open(tmp_path / 'new' / 'out' / name) as image:
            assert image.n_frames == archive.frames(i) and image.info['duration'] == 30


def test_videos(main, tiny_archive, tmp_path):
    imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg')
    main([str(tiny_archive), '--out', str(tmp_path), '--names', 'take3', '--stages', 'raw', '--mp4'])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['01_take3.mp4', 'sheet.png']
    frames = SkeletonArchive.open(tiny_archive).frames(3)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / '01_take3.mp4'))[0] == frames


def test_videos_without_ffmpeg_are_refused_before_anything_is_written(main, tiny_archive, tmp_path, monkeypatch):
    monkeypatch.setattr('mmactclr.visualization.animation.FFMpegWriter.isAvailable', lambda: False)
    with pytest.raises(ConfigError, match='an .mp4 needs ffmpeg'):
        main([str(tiny_archive), '--out', str(tmp_path / 'out'), '--number', '1', '--mp4'])
    assert not (tmp_path / 'out').exists()


def test_sequences_in_space(main, config, shown, tmp_path):
    arguments = [config(), '--number', '2', '--seed', '4', '--out', str(tmp_path)]
    main(arguments)
    main([*arguments, '--view', '3d', '--azimuth', '90', '--elevation', '0'])
    flat, _, space, _ = (sequence for page in shown for sequence in page)
    for before, after in zip(flat.clips, space.clips, strict=True):
        assert before.label == after.label
        # from the right, depth goes from the left to the right
        np.testing.assert_allclose(after.placed[..., 0], -before.in_space[..., 2], atol=1e-6)
        np.testing.assert_allclose(after.placed[..., 1], before.in_space[..., 1], atol=1e-6)
    with pytest.raises(ConfigError, match='elevation 99'):
        main([*arguments, '--view', '3d', '--elevation', '99'])


def test_every_view_of_a_config_is_what_training_gets(main, config, shown, tmp_path):
    main([config(), '--number', '5', '--seed', '4', '--out', str(tmp_path)])
    (first, *_) = (sequence for page in shown for sequence in page)
    labels = [clip.label for clip in first.clips]
    # a dumped config has its views in alphabetical order
    assert labels == ['raw', 'prepared', *(f'{view}, {stream}' for view in ('act', 'key', 'non', 'query')
                                           for stream in ('joint', 'motion', 'bone'))]
    from mmactclr.apis import init_model
    from mmactclr.utils import load_config
    cfg = load_config(config())
    dataset = SkeletonDataset(**{key: value for key, value in cfg.train_dataloader.dataset.items() if key != 'type'})
    names = [sequence.title.split('  |  ')[1] for page in shown for sequence in page]
    called = dataset.archive.column('name')[dataset.index].tolist()
    batch = dataset.__getitems__([called.index(name) for name in names])
    model = init_model(cfg)
    model.set_progress(4, 0, 0, 0)
    for stage in (0, 1):
        model.epoch = stage
        for branch in model.branches().values():
            branch.epoch = stage
        views = model.data_preprocessor(batch, True, views=model.view_names())['inputs']['joint']
        for view, expected in views.items():
            for i, sequence in enumerate(sequence for page in shown for sequence in page):
                (clip,) = (clip for clip in sequence.clips if clip.label == f'{view}, joint')
                np.testing.assert_array_equal(clip.joints, expected[i])
    prepared = [sequence.clips[1].joints for page in shown for sequence in page]
    np.testing.assert_array_equal(prepared, batch['inputs'])


def test_a_config_of_one_stream_shows_that_stream(main, config, shown, tmp_path):
    main([config('moco_joint_ntu60_xsub'), '--number', '1', '--stages', 'augmented', '--out', str(tmp_path),
          '--cfg-options', 'model.data_preprocessor.streams=["motion"]'])
    (((sequence,),),) = [shown]
    assert [clip.label for clip in sequence.clips] == ['key, motion', 'query, motion']
    assert sequence.clips[0].motion is not None


def test_what_is_chosen(main, tiny_archive, config, shown, tmp_path):
    archive = SkeletonArchive.open(tiny_archive)

    def subjects(*arguments):
        shown.clear()
        main([*arguments, '--out', str(tmp_path), '--stages', 'raw', '--number', '99'])
        names = [sequence.title.split('  |  ')[1] for page in shown for sequence in page]
        return sorted(set(archive.column('subject')[np.isin(archive.column('name'), names)].tolist())), len(names)

    assert subjects(str(tiny_archive)) == ([1, 2, 3], 27)
    assert subjects(str(tiny_archive), '--split', 'xsub:test') == ([3], 9)
    assert subjects(config()) == ([1, 2], 18)
    assert subjects(config(), '--split', 'xsub:test') == ([3], 9)
    assert subjects(config(), '--names', 'take0', 'take3') == ([1, 2], 2)
    assert subjects(str(tiny_archive), '--classes', 'both', '--split', 'xsub:train') == ([1, 2], 6)
    assert max(sum(len(sequence.clips) for sequence in page) for page in shown) <= 24


@pytest.mark.parametrize(('arguments', 'message'), [
    (['{archive}', '--split', 'xsub'], "--split 'xsub': expected NAME:PART"),
    (['{archive}', '--split', 'xset:train'], "no split 'xset'"),
    (['{archive}', '--number', '0'], '--number is 0'),
    (['{archive}', '--classes', 'jump'], "no class .*'jump'; there are both, left hand, right hand"),
    (['{archive}', '--stages', 'augmented'], 'needs a config'),
    (['{archive}', '--cfg-options', 'layout=ntu25'], 'is an archive'),
    (['{tmp}'], 'not a skeleton archive'),
    (['no_such_config'], "'no_such_config' does not exist"),
    (['actclr_joint_ntu60_xsub', '--cfg-options', 'data_root=nowhere'], 'no skeleton archive at nowhere'),
    (['actclr_joint_ntu60_xsub', '--cfg-options', 'data_root={archive}'], 'expects layout'),
    (['{config}', '--cfg-options', 'model.data_preprocessor.type=Nothing'], "'Nothing' is not registered"),
    (['{config}', '--cfg-options', 'model.data_preprocessor=None', '--stages', 'augmented'], 'has views')])
def test_bad_input_is_one_clear_error(main, config, tiny_archive, tmp_path, arguments, message):
    given = dict(archive=tiny_archive, tmp=tmp_path, config=config() if '{config}' in arguments else '')
    with pytest.raises(MMActCLRError, match=message) as error:
        main([*(argument.format(**given) for argument in arguments), '--out', str(tmp_path / 'out')])
    assert '\n' not in str(error.value) and not (tmp_path / 'out').exists()


def test_a_data_set_that_is_wrapped_is_refused(main, config, tiny_archive, tmp_path, monkeypatch):
    from mmactclr.registry import DATASETS
    monkeypatch.setattr(DATASETS, 'build', lambda _: [1])
    with pytest.raises(ConfigError, match='the data set is a list, expected a SkeletonDataset'):
        main([config(), '--out', str(tmp_path)])


def test_without_a_display_and_with_one_line_for_an_error(repo_root, tiny_archive, tmp_path):
    tool = repo_root / 'tools' / 'visualization' / 'browse_dataset.py'
    environment = {**{key: value for key, value in os.environ.items() if key != 'DISPLAY'}, 'MPLBACKEND': 'TkAgg'}
    done = subprocess.run([sys.executable, tool, tiny_archive, '--number', '1', '--out', tmp_path / 'a'],
                          capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0 and (tmp_path / 'a' / 'sheet.png').is_file(), done.stderr
    done = subprocess.run([sys.executable, tool, tiny_archive, '--names', 'x'], capture_output=True, text=True,
                          env=environment, timeout=120)
    assert done.returncode == 1 and done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
