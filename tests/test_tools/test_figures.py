"""Figures of the command line: features in the plane, a page to turn and play, curves, sizes of the memory."""
import json
import re
import runpy
import sys

import pytest
import torch
from matplotlib.image import imread

from mmactclr.apis import SkeletonInferencer, comparing, init_model, run_training
from mmactclr.engine.checkpoints import ModelCard
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout
from mmactclr.utils import load_config
from tests.test_apis.test_inferencer import BACKBONE, save


@pytest.fixture
def tool(repo_root):
    return lambda name: runpy.run_path(str(repo_root / 'tools' / name))['main']


@pytest.fixture
def dumped(tiny_archive, tiny_config, tmp_path):
    """Config and checkpoint in files."""
    cfg = tiny_config(tiny_archive)
    cfg.dump(str(tmp_path / 'tiny.py'))
    model = init_model(cfg)
    card = ModelCard(model=cfg.model.to_dict(), layout=get_layout(cfg.layout).to_dict(), num_frames=16)
    torch.save({'state_dict': model.state_dict(), 'meta': {'mmactclr': card.to_dict()}}, tmp_path / 'epoch_2.pth')
    return [str(tmp_path / 'tiny.py'), str(tmp_path / 'epoch_2.pth')]


def test_features_in_the_plane(tool, dumped, tmp_path, capsys):
    pytest.importorskip('openTSNE')
    tool('visualization/draw_features.py')([*dumped, '--out', str(tmp_path / 't.png'), '--split-part', 'both'])
    assert 'written' in capsys.readouterr().out and imread(tmp_path / 't.png').shape[0] > 300


@pytest.mark.parametrize('name', ['visualization/draw_features.py', 'visualization/draw_actionlets.py',
                                  'visualization/draw_actionlet_views.py', 'visualization/draw_mean_motion.py',
                                  'visualization/interactive_motion.py', 'analysis_tools/plot_curves.py'])
def test_other_kinds_of_files_are_refused_before_any_work(tool, name, capsys):
    # neither config nor checkpoint nor recording exists, and nobody looks
    with pytest.raises(SystemExit) as stop:
        tool(name)(['nothing.py', *['nothing.pth'] * (name[14:] in ('draw_features.py', 'draw_actionlets.py')),
                    '--out', 'picture.txt'])
    said = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and "'picture.txt': expected a file name that ends in ." in said


def test_a_missing_package_is_named_before_any_work(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, 'umap', None)
    with pytest.raises(ConfigError, match='UMAP needs the package umap-learn'):
        tool('visualization/draw_features.py')(['nothing.py', 'nothing.pth', '--out', 't.png', '--method', 'umap'])


def test_a_checkpoint_in_place_of_a_config_is_told(tool, dumped, tmp_path):
    for given in (dumped[1], str(tmp_path / 'renamed.py')):
        (tmp_path / 'renamed.py').write_bytes((tmp_path / 'epoch_2.pth').read_bytes())
        with pytest.raises(ConfigError, match=r'is a checkpoint, expected a config: a file that ends in \.py'):
            tool('visualization/draw_features.py')([given, dumped[0], '--out', 't.png'])


def test_progress_is_no_part_of_the_results(tiny_archive, tmp_path, capsys):
    inferencer = SkeletonInferencer(save(tmp_path / 'c.pth', dict(
        type='Recognizer', layout='kinect20_utdmhad', backbone=BACKBONE, head=None)), batch_size=4)
    assert len(inferencer(tiny_archive)) == 27
    said = capsys.readouterr()
    assert not said.out and '7/7' in said.err


def test_a_recording_to_turn_and_play_with_and_without_a_model(tool, dumped, tiny_archive, tmp_path):
    pytest.importorskip('plotly')
    main = tool('visualization/interactive_motion.py')
    main([str(tiny_archive), '--name', 'take3', '--out', str(tmp_path / 'plain.html')])
    assert 'take3 | right hand' in (tmp_path / 'plain.html').read_text()
    arguments = [str(tiny_archive), '--name', 'take3', '--checkpoint', dumped[1], '--out', str(tmp_path / 'a.html')]
    with pytest.raises(ConfigError, match='--anchor INPUT'):
        main(arguments)
    main([*arguments, '--anchor', str(tiny_archive)])
    coloured, plain = ((tmp_path / name).read_text() for name in ('a.html', 'plain.html'))
    # the slash is escaped
    assert re.search('actionlet .{1,6} maximum', coloured) and not re.search('actionlet .{1,6} maximum', plain)
    with pytest.raises(DataError, match="'take99'; there are take0, .* and 17 more"):
        main([str(tiny_archive), '--name', 'take99', '--out', str(tmp_path / 'b.html')])


def test_sizes_are_run_once_and_go_on_after_a_limit(tool, dumped, repo_root, tmp_path, capsys, monkeypatch):
    config, calls = dumped[0], []

    def train(script, name, folder, words, limit):
        assert script == repo_root / 'tools' / 'train.py' and name == config
        calls.append((folder.name, words, limit))
        if folder.name == 'size_32' and len(calls) < 3:
            return 'stopped after 5 s; run the same command again to go on'
        folder.mkdir(parents=True, exist_ok=True)
        content = {'val': {'epoch': 2, 'metrics': {'knn/backbone_k20': 50. + len(calls), 'linear/x': 1.}}}
        (folder / 'metrics.json').write_text(json.dumps(content))
        return ''

    monkeypatch.setattr(comparing, '_train', train)
    main = tool('analysis_tools/bank_size.py')
    arguments = [config, '--work-dir', str(tmp_path / 'sizes'), '--sizes', '16', '32', '--time-limit', '5',
                 '--cfg-options', 'randomness.seed=3']
    main(arguments)
    out = capsys.readouterr().out
    assert 'memory of 32: epoch 0 of 2, left out. stopped after 5 s' in out
    main(arguments)
    assert [(name, words) for name, words, _ in calls] == [
        (name, ['randomness.seed=3', f'model.memory.size={name[5:]}']) for name in ('size_16', 'size_32', 'size_32')]
    rows = {row['size']: row for row in json.loads((tmp_path / 'sizes' / 'bank_sizes.json').read_text())}
    assert rows[16]['metrics']['knn/backbone_k20'] == 51 and rows[32]['metrics']['knn/backbone_k20'] == 53
    assert all(row['finished'] for row in rows.values()) and (tmp_path / 'sizes' / 'bank_sizes.png').is_file()


TRAINER = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
if 'data_root=nothing' in sys.argv:
    sys.exit('error: nothing is no archive')
(folder / 'arguments.json').write_text(json.dumps(sys.argv[1:]))
(folder / 'last_checkpoint').write_text('epoch_1.pth')
done = {'epoch': 2 if '--resume' in sys.argv else 1, 'metrics': {'knn/a': 50.}}
(folder / 'metrics.json').write_text(json.dumps({'val': done}))
"""


def test_the_process_of_a_run(dumped, tmp_path):
    """What stands in for tools/train.py does one epoch, then the other."""
    (tmp_path / 'train.py').write_text(TRAINER)
    arguments = dumped[0], tmp_path / 'sizes', tmp_path / 'train.py', [8]
    (run,) = comparing.run_sizes(*arguments, words=['randomness.seed=3'])
    given = ['--work-dir', str(tmp_path / 'sizes' / 'size_8'), '--cfg-options', 'randomness.seed=3',
             'model.memory.size=8']
    assert not run.finished and run.epoch == 1
    assert json.loads((tmp_path / 'sizes' / 'size_8' / 'arguments.json').read_text()) == [dumped[0], *given]
    (run,) = comparing.run_sizes(*arguments, words=['randomness.seed=3'])
    assert run.finished and run.metrics == {'knn/a': 50.}
    assert json.loads((tmp_path / 'sizes' / 'size_8' / 'arguments.json').read_text()) == [
        dumped[0], *given, '--resume']
    (run,) = comparing.run_sizes(dumped[0], tmp_path / 'failed', tmp_path / 'train.py', [8],
                                 words=['data_root=nothing'])
    assert not run.finished and run.problem.startswith('failed: error: nothing is no archive (all of it')


def test_a_run_that_was_stopped_before_its_last_validation_is_evaluated(tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive)
    cfg.dump(str(tmp_path / 'tiny.py'))
    folder = tmp_path / 'sizes' / 'size_16'
    run_training(cfg, folder)
    stated = json.loads((folder / 'metrics.json').read_text())
    early = {'val': {**stated['val'], 'epoch': 1, 'metrics': {'knn/backbone_k20': -1.}}}
    (folder / 'metrics.json').write_text(json.dumps(early))
    # a training that goes on from its last epoch has nothing to do
    (tmp_path / 'train.py').write_text('')
    (run,) = comparing.run_sizes(tmp_path / 'tiny.py', tmp_path / 'sizes', tmp_path / 'train.py', [16])
    assert run.finished and run.metrics == stated['val']['metrics']


def test_a_method_without_a_memory():
    cfg = load_config('moco_joint_utdmhad_xsub')
    assert comparing.memory_options(cfg, 8) == {'model.memory.size': 8}
    assert comparing.memory_options(load_config('actclr_3s_utdmhad_xsub'), 8) == {'model.branch.memory.size': 8}
    with pytest.raises(ConfigError, match='is 0'):
        comparing.memory_options(cfg, 0)
    cfg.model.pop('memory')
    with pytest.raises(ConfigError, match='MoCo has no memory'):
        comparing.memory_options(cfg, 8)


def test_a_run_that_takes_too_long_is_stopped(tmp_path):
    slow = tmp_path / 'slow.py'
    slow.write_text('import time\ntime.sleep(60)\n')
    assert 'stopped after 0.5 s' in comparing._train(slow, 'config', tmp_path / 'run', [], .5)
    assert sys.executable and (tmp_path / 'run' / 'output.txt').is_file()


def test_curves_of_a_run(tool, tiny_archive, tiny_config, tmp_path, capsys):
    run_training(tiny_config(tiny_archive), tmp_path / 'one')
    tool('analysis_tools/plot_curves.py')([str(tmp_path / 'one'), '--out', str(tmp_path / 'c.png')])
    stated = json.loads((tmp_path / 'one' / 'metrics.json').read_text())['val']['metrics']['knn/backbone_k20']
    assert f'knn/backbone_k20  one: {stated:.2f} at epoch 2' in capsys.readouterr().out
    assert imread(tmp_path / 'c.png').shape[0] > 300
