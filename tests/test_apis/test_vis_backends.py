"""Backends of the visualizer by config: what is logged reaches them, what is missing is named."""
import importlib.util
import sys
import threading
import types

import pytest
from mmengine.logging import print_log

from mmactclr.apis import run_training, vis_backends
from mmactclr.apis.vis_backends import complete_backends
from mmactclr.errors import ConfigError
from mmactclr.utils import load_config, recipe_hash
from mmactclr.visualization import read_history

BOTH = 'visualizer.vis_backends'


@pytest.fixture
def written(monkeypatch):
    """A stand-in for the writer of TensorBoard; {name: {step: value}}, and None where it was closed."""
    numbers = {}

    class SummaryWriter:
        def __init__(self, folder):
            numbers['folder'] = folder

        def add_scalar(self, name, value, step):
            numbers.setdefault(name, {})[step] = value

        def add_text(self, name, text):
            numbers[name] = text

        def close(self):
            numbers['closed'] = True

    module = types.ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)
    monkeypatch.setattr(vis_backends.importlib.util, 'find_spec', lambda name: name == 'tensorboard' or None)
    return numbers


def test_losses_and_results_reach_tensorboard_and_the_files(written, tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, **{BOTH: ['LocalVisBackend', 'TensorboardVisBackend']})
    run_training(cfg, tmp_path)
    history = read_history(tmp_path)
    assert set(history) >= {'loss_nce', 'loss_mining', 'knn/backbone_k20'}
    assert written['knn/backbone_k20'] == history['knn/backbone_k20']
    # of losses the step is the iteration, three an epoch
    assert set(written['loss_nce']) == {3} and written['loss_nce'][3] == pytest.approx(history['loss_nce'][1])
    assert 'vis_data' in written['folder'] and written['closed']


@pytest.mark.skipif(importlib.util.find_spec('tensorboard') is None, reason='tensorboard is not installed')
def test_a_real_file_of_events(tiny_archive, tiny_config, tmp_path):
    run_training(tiny_config(tiny_archive, **{BOTH: 'TensorboardVisBackend'}), tmp_path)
    assert list(tmp_path.rglob('events.out.tfevents.*'))


@pytest.mark.parametrize(('backend', 'package'), [
    ('TensorboardVisBackend', 'tensorboard'), ('WandbVisBackend', 'wandb'), ('mmengine.MLflowVisBackend', 'mlflow')])
def test_a_missing_package_is_named_before_anything_runs(backend, package, tiny_archive, tiny_config, tmp_path,
                                                         monkeypatch):
    monkeypatch.setattr(vis_backends.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match=f'{backend.split(".")[-1]} needs the package {package}.*pip install'):
        run_training(tiny_config(tiny_archive, **{BOTH: ['LocalVisBackend', backend]}), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('wrong', [3, [3], [{'save_dir': 'x'}]])
def test_what_is_no_backend(wrong, tiny_archive, tiny_config):
    cfg = tiny_config(tiny_archive)
    cfg.visualizer.vis_backends = wrong
    with pytest.raises(ConfigError, match='expected names or configs'):
        complete_backends(cfg)


def test_where_numbers_go_does_not_change_what_is_computed():
    plain, other = (load_config('actclr_joint_utdmhad_xsub', options)
                    for options in ({}, {BOTH: ['WandbVisBackend']}))
    bare = load_config('actclr_joint_utdmhad_xsub')
    bare.pop('visualizer')
    assert recipe_hash(plain) == recipe_hash(other) == recipe_hash(bare)


def test_what_could_not_be_built_stops_no_other_thread(tiny_archive, tiny_config, tmp_path):
    """mmengine keeps a lock when making a visualizer fails, and every log line of another thread waits for it."""
    cfg = tiny_config(tiny_archive, **{BOTH: [dict(type='LocalVisBackend', no_such_argument=1)]})
    with pytest.raises(ConfigError, match='no_such_argument'):
        run_training(cfg, tmp_path / 'run')
    said = threading.Thread(target=print_log, args=('other', 'current'), daemon=True)
    said.start()
    said.join(20)
    assert not said.is_alive()
