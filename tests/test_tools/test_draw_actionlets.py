"""The drawing tool from the command line, on a checkpoint of a config in a file."""
import runpy
import subprocess
import sys

import pytest
import torch
from matplotlib.image import imread

from mmactclr.apis import init_model


@pytest.fixture
def tool(repo_root):
    return repo_root / 'tools' / 'visualization' / 'draw_actionlets.py'


@pytest.fixture
def dumped(tiny_archive, tiny_config, tmp_path):
    """Config and checkpoint in files."""
    cfg = tiny_config(tiny_archive)
    cfg.dump(str(tmp_path / 'tiny.py'))
    model = init_model(cfg)
    model.anchor.normal_()
    model.anchor_ready.fill_(True)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'epoch_2.pth')
    return str(tmp_path / 'tiny.py'), str(tmp_path / 'epoch_2.pth')


def test_the_tool_draws_a_sheet(tool, dumped, tmp_path, capsys):
    out = tmp_path / 'pictures' / 'sheet.png'
    main = runpy.run_path(str(tool))['main']
    main([*dumped, '--out', str(out), '--num', '2', '--split-part', 'train'])
    assert str(out) in capsys.readouterr().out
    assert imread(out).shape[1] > 800


def test_a_checkpoint_that_does_not_fit_is_one_line_and_no_picture(tool, dumped, tmp_path):
    out = tmp_path / 'sheet.png'
    done = subprocess.run(
        [sys.executable, tool, *dumped, '--out', out, '--cfg-options',
         'model.backbone.channels=[4,8,8]'], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and not out.exists()
    assert done.stderr.startswith('error: checkpoint') and 'Traceback' not in done.stderr
