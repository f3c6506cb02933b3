"""Figures of actionlets from the command line: heat maps, transformed copies, mean motion."""
import runpy

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mmactclr.apis import init_model
from mmactclr.apis.actionlets import actionlet_class_shares, compute_actionlets
from mmactclr.errors import ConfigError
from mmactclr.registry import DATASETS


@pytest.fixture
def dumped(tiny_archive, tiny_config, tmp_path):
    """Config and checkpoint in files, and the model."""
    cfg = tiny_config(tiny_archive)
    cfg.dump(str(tmp_path / 'tiny.py'))
    torch.manual_seed(0)
    model = init_model(cfg)
    model.anchor.normal_()
    model.anchor_ready.fill_(True)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'epoch_2.pth')
    return model, cfg, [str(tmp_path / 'tiny.py'), str(tmp_path / 'epoch_2.pth')]


def test_both_maps_of_the_chosen_part(dumped, repo_root, tmp_path, capsys):
    model, cfg, arguments = dumped
    main = runpy.run_path(str(repo_root / 'tools' / 'visualization' / 'draw_actionlet_maps.py'))['main']
    main([*arguments, '--out', str(tmp_path / 'maps'), '--split-part', 'train'])
    said = capsys.readouterr().out
    assert all(imread(tmp_path / 'maps' / name).shape[1] > 400 for name in ('joints.png', 'frames.png'))
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset='train'))
    shares = actionlet_class_shares(model, dataset)
    raw = compute_actionlets(model, dataset).numpy()
    # an untrained network sees nothing in some sequences
    seen = raw.any((1, 2, 3))
    assert f'3 classes, {seen.sum()} sequences' in said and seen.sum() > 12
    rows = raw[(dataset.labels == 1) & seen].sum(1)
    assert shares['left hand'].joints == pytest.approx(np.mean([row.sum(0) / row.sum() for row in rows], 0), rel=1e-4)


def test_copies_are_drawn_and_their_numbers_printed(dumped, repo_root, tmp_path, capsys):
    main = runpy.run_path(str(repo_root / 'tools' / 'visualization' / 'draw_actionlet_views.py'))['main']
    out = tmp_path / 'new' / 'views.png'
    main([*dumped[2], '--out', str(out), '--class', 'both', '--num', '4'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('IoU') and 'mean of 4 sequences' in lines[0]
    assert 0 <= float(next(line for line in lines if line.startswith('mirrored')).split()[-1]) <= 1
    assert imread(out).shape[0] > 1000
    with pytest.raises(ConfigError, match="'jump': the data have right hand, left hand, both"):
        main([*dumped[2], '--out', str(out), '--class', 'jump'])


def test_the_mean_motion_with_and_without_an_anchor(dumped, repo_root, tmp_path, capsys):
    main = runpy.run_path(str(repo_root / 'tools' / 'visualization' / 'draw_mean_motion.py'))['main']
    config, checkpoint = dumped[2]
    main([config, '--out', str(tmp_path / 'one.png')])
    main([config, '--checkpoint', checkpoint, '--out', str(tmp_path / 'two.png')])
    assert imread(tmp_path / 'two.png').shape[0] > imread(tmp_path / 'one.png').shape[0] > 200
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    state['anchor_ready'].fill_(False)
    torch.save({'state_dict': state}, tmp_path / 'none.pth')
    with pytest.raises(ConfigError, match='no anchor of joints'):
        main([config, '--checkpoint', str(tmp_path / 'none.pth'), '--out', str(tmp_path / 'three.png')])
