"""Checkpoints of models with parts of the user's: what is missing is named with its module and never imported."""
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmactclr.apis import SkeletonInferencer, init_model, run_test, run_training
from mmactclr.engine.checkpoints import ModelCard, card_of_config, write_checkpoint
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config

ROOT = Path(__file__).resolve().parents[2]
NETS = '''
import torch
from mmactclr.registry import MODELS

@MODELS.register_module()
class FloorNet(torch.nn.Module):
    out_channels = 8

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 8, 1)

    def forward(self, x):
        return self.mix(x)
'''
MOCO = '''
_base_ = 'mmactclr::moco/moco_joint_utdmhad_xsub.py'
data_root, layout, num_frames = {data!r}, 'kinect20_utdmhad', 16
train_dataloader = dict(batch_size=6)
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(interval=1))
val_cfg = val_dataloader = val_evaluator = None
'''
NETS_CONFIG = MOCO + '''
custom_imports = dict(imports=['nets_of_mine'])
model = dict(backbone=dict(_delete_=True, type='FloorNet'), projector=dict(hidden_channels=8))
'''
SWAY_CONFIG = MOCO + '''
model = dict(data_preprocessor=dict(views=dict(query=dict(joints=[dict(type='SwayOfMine')]))))
'''


def command(folder: Path, *words: str, path: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of mmactclr, by default with the folder on the path."""
    return subprocess.run([sys.executable, '-m', 'mmactclr', *words], cwd=folder, text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *[str(folder)] * path])))


@pytest.fixture(scope='module')
def folder(tmp_path_factory, tiny_archive) -> Path:
    """A module of the user's, a run with it, and a recording."""
    made = tmp_path_factory.mktemp('mine')
    (made / 'nets_of_mine.py').write_text(NETS)
    (made / 'nets.py').write_text(NETS_CONFIG.format(data=str(tiny_archive)))
    done = command(made, 'train', 'nets.py', '--work-dir', 'nets')
    assert done.returncode == 0, done.stderr[-2000:]
    np.save(made / 'take.npy', np.random.default_rng(0).normal(0, .3, (20, 20, 3)).astype(np.float32))
    (made / 'linear.py').write_text(
        "_base_ = 'mmactclr::benchmarks/linear/linear_utdmhad_xsub.py'\n"
        "custom_imports = dict(imports=['nets_of_mine'])\n"
        f'data_root = {str(tiny_archive)!r}\n')
    return made


def linear(folder: Path, config: str) -> list[str]:
    return ['train', config, '--work-dir', 'linear', '--cfg-options', 'init_from=nets/epoch_1.pth',
            f'data_root={re.findall("data_root = .(.*).$", (folder / "linear.py").read_text(), re.MULTILINE)[0]}',
            'train_cfg.max_epochs=1', 'num_classes=3', 'train_dataloader.batch_size=6']


@pytest.mark.parametrize('words', [
    ['infer', 'nets/epoch_1.pth', 'take.npy'], ['test', 'knn_utdmhad_xsub', 'nets/epoch_1.pth'],
    ['linear', 'linear_utdmhad_xsub']],
    ids=lambda words: words[0])
def test_the_module_is_named_though_it_lies_on_the_path(folder, words):
    done = command(folder, *(linear(folder, words[1]) if words[0] == 'linear' else words))
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and 'Traceback' not in done.stderr + done.stdout
    assert all(each in last for each in (
        "'FloorNet'", 'its training imported nets_of_mine', 'PYTHONPATH', '--config',
        "custom_imports=dict(imports=['nets_of_mine'])")), last


def test_what_the_line_says_helps(folder):
    done = command(folder, 'infer', 'nets/epoch_1.pth', 'take.npy', '--config', 'nets.py')
    assert done.returncode == 0, done.stderr[-2000:]
    done = command(folder, *linear(folder, 'linear.py'))
    assert done.returncode == 0, done.stderr[-2000:]
    card = ModelCard.of(torch.load(next((folder / 'linear').glob('epoch_*.pth')), weights_only=True), 'linear')
    assert card.imports == ['nets_of_mine']


def test_nothing_is_imported_for_a_checkpoint(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ConfigError, match='its training imported nets_of_mine'):
        init_model(checkpoint=folder / 'nets' / 'epoch_1.pth')
    assert 'nets_of_mine' not in sys.modules


@pytest.fixture
def swayed(tiny_archive, tmp_path) -> Path:
    """A checkpoint whose views were made by a transform that is not there."""
    (tmp_path / 'sways.py').write_text(SWAY_CONFIG.format(data=str(tiny_archive)))
    (tmp_path / 'plain.py').write_text(MOCO.format(data=str(tiny_archive)))
    state = init_model(tmp_path / 'plain.py').state_dict()
    return write_checkpoint(tmp_path / 'sways.pth', state, card_of_config(load_config(tmp_path / 'sways.py')))


def test_a_transform_of_pretraining_does_not_matter_to_inference(swayed, tiny_archive, tmp_path):
    content = torch.load(swayed, weights_only=True)
    assert 'SwayOfMine' in str(content['meta']['mmactclr'])
    state = init_model(checkpoint=swayed).state_dict()
    assert state.keys() == content['state_dict'].keys()
    assert all(torch.equal(value, content['state_dict'][name]) for name, value in state.items())
    result = SkeletonInferencer(swayed)(np.random.default_rng(0).normal(0, .3, (20, 20, 3)), progress=False)[0]
    assert np.isfinite(result.embedding).all()
    assert run_test('knn_utdmhad_xsub', swayed, tmp_path / 'out', options=dict(data_root=str(tiny_archive)))


def test_training_still_needs_the_transform(swayed, tmp_path):
    with pytest.raises(ConfigError, match="'SwayOfMine' is not registered"):
        run_training(swayed.with_suffix('.py'), tmp_path / 'out')


def test_modules_of_a_card_are_names(folder):
    card = ModelCard(dict(type='Recognizer'), get_layout('ntu25').to_dict())
    assert 'imports' not in card.to_dict()
    for wrong in (['os; remove'], [3], 'os'):
        meta = {'meta': {'mmactclr': {**card.to_dict(), 'imports': wrong}}}
        with pytest.raises(DataError, match='imports'):
            ModelCard.of(meta, 'file.pth')
    kept = replace(card, imports=['a.b'])
    assert ModelCard.of({'meta': {'mmactclr': kept.to_dict()}}, 'file.pth') == kept


def test_what_registers_a_part_is_recorded_without_custom_imports(tiny_archive, tmp_path, monkeypatch):
    (tmp_path / 'nets.py').write_text(NETS_CONFIG.replace('custom_imports', 'others').format(data=str(tiny_archive)))
    net = type('FloorNet', (torch.nn.Module,), dict(__module__='nets.a'))
    monkeypatch.setitem(MODELS._module_dict, 'FloorNet', net)
    assert card_of_config(load_config(tmp_path / 'nets.py')).imports == ['nets.a']
    assert card_of_config(load_config('moco_joint_utdmhad_xsub')).imports == []
