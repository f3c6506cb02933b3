"""A backbone in a user's own file, outside the package, named in a config by custom_imports."""

import os
import subprocess
import sys

import pytest
import torch

BACKBONE = '''
from mmengine.model import BaseModule
from torch import nn

from mmactclr.registry import MODELS


@MODELS.register_module()
class JointMixer(BaseModule):
    """Two convolutions over time; joints mix only by pooling."""

    def __init__(self, in_channels=3, width=8, init_cfg=None):
        super().__init__(init_cfg)
        self.net = nn.Sequential(
            nn.Conv2d(in_channels, width, (5, 1), (2, 1), (2, 0)), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, x):
        return self.net(x)
'''

CONFIG = """
_base_ = [{bases}]
custom_imports = dict(imports=['joint_mixer'])
data_root = {data_root!r}
layout = 'kinect20_utdmhad'
num_frames = 16
train_dataloader = dict(batch_size=6)
model = dict(
    stage_epochs=(1, 1), backbone=dict(_delete_=True, type='JointMixer', width=8),
    projector=dict(in_channels=8, hidden_channels=8, out_channels=4), memory=dict(size=16, dim=4))
train_cfg = dict(max_epochs=2)
default_hooks = dict(checkpoint=dict(interval=1))
val_cfg = None
val_dataloader = None
val_evaluator = None
"""


@pytest.fixture
def project(tmp_path, tiny_archive, repo_root):
    """A user's folder: the backbone of 20 lines in lib/ and a config that names it."""
    (tmp_path / 'lib').mkdir()
    (tmp_path / 'lib' / 'joint_mixer.py').write_text(BACKBONE)
    names = (
        'datasets/ntu60_xsub',
        'models/actclr_paper',
        'schedules/paper_400e',
        'default_runtime',
    )
    bases = ', '.join(repr(str(repo_root / 'configs' / '_base_' / f'{name}.py')) for name in names)
    (tmp_path / 'mine.py').write_text(CONFIG.format(bases=bases, data_root=str(tiny_archive)))
    return tmp_path


def train(project, repo_root, path):
    return subprocess.run(
        [sys.executable, repo_root / 'tools' / 'train.py', 'mine.py', '--work-dir', 'out'],
        cwd=project,
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(path)),
    )


def test_a_users_own_backbone_trains_in_both_stages(project, repo_root):
    assert len(BACKBONE.strip().splitlines()) <= 20
    done = train(project, repo_root, project / 'lib')
    assert done.returncode == 0, done.stderr
    first, second = (
        torch.load(project / 'out' / f'epoch_{n}.pth', weights_only=True)['state_dict']
        for n in (1, 2)
    )
    for name in ('backbone.net.0.weight', 'backbone_k.net.0.weight', 'projector.layers.2.weight'):
        assert not torch.equal(first[name], second[name]), name
    assert 'epoch 2/2' in done.stdout


def test_without_its_folder_on_the_path_the_error_names_the_module(project, repo_root):
    done = train(project, repo_root, project / 'nowhere')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert message == (
        'error: mine.py: a module that the config imports (custom_imports) could not be '
        'imported: No module '
        "named 'joint_mixer'; put the folder that holds it on PYTHONPATH"
    )
