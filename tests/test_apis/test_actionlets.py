"""Actionlets of any encoder, and on which body parts they lie."""
import csv
import runpy
import sys

import numpy as np
import pytest
import torch

from mmactclr.apis import init_model
from mmactclr.apis.actionlets import actionlet_part_shares, compute_actionlets
from mmactclr.errors import ConfigError
from mmactclr.evaluation.actionlet_parts import part_shares
from mmactclr.models import FeatureBaseline
from mmactclr.registry import DATASETS
from mmactclr.structures import get_layout


@pytest.fixture(scope='module')
def cfg(tiny_archive, tiny_config):
    return tiny_config(tiny_archive)


@pytest.fixture(scope='module')
def dataset(cfg):
    return DATASETS.build(dict(cfg.test_dataloader.dataset, subset='both'))


@pytest.fixture(scope='module')
def actclr(cfg, dataset):
    """Untrained, with the anchor that a run would have computed."""
    model = init_model(cfg)
    model.set_anchor(torch.from_numpy(dataset.prepared).mean(0))
    return model


def test_an_encoder_without_an_anchor_takes_the_mean_motion_of_the_data(actclr, dataset, tiny_config, tiny_archive):
    moco = init_model(tiny_config(tiny_archive, 'moco_joint_ntu60_xsub'))
    for part in ('backbone', 'projector'):
        getattr(moco, part).load_state_dict(getattr(actclr, part).state_dict())
    found = compute_actionlets(moco, dataset)
    assert found.shape == (27, 2, 8, 20)
    torch.testing.assert_close(found, compute_actionlets(actclr, dataset), rtol=1e-4, atol=1e-8)
    batch = dataset.__getitems__([5, 3])
    torch.testing.assert_close(found[[5, 3]], actclr.actionlet(batch['inputs'], batch['mask']), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(compute_actionlets(moco, dataset, [5, 3]), found[[5, 3]], rtol=1e-4, atol=1e-8)


def test_streams_are_taken_by_name(dataset, tiny_config, tiny_archive):
    three = init_model(tiny_config(tiny_archive, 'actclr_3s_ntu60_xsub'))
    for branch in three.branches().values():
        branch.set_anchor(torch.from_numpy(dataset.prepared).mean(0))
    bone = compute_actionlets(three.branches()['bone'], dataset, [0, 1])
    assert torch.equal(compute_actionlets(three, dataset, [0, 1], stream='bone'), bone)
    assert not torch.equal(compute_actionlets(three, dataset, [0, 1]), bone)
    with pytest.raises(ConfigError, match="no stream 'depth', it has joint, motion, bone"):
        compute_actionlets(three, dataset, [0, 1], stream='depth')


def test_what_has_no_encoder_is_refused(dataset):
    with pytest.raises(ConfigError, match='FeatureBaseline has no encoder'):
        compute_actionlets(FeatureBaseline(dict(type='RawCoordinates')), dataset)


def test_shares_are_means_over_the_sequences_of_a_class():
    layout, generator = get_layout('ntu25'), np.random.default_rng(0)
    actionlet, labels = generator.random((5, 2, 3, 25)), [0, 2, 0, 2, 3]
    actionlet[2] = actionlet[4] = 0
    found = part_shares(torch.from_numpy(actionlet), torch.tensor(labels), layout)
    assert list(found) == [0, 2]
    for label, rows in ((0, [0]), (2, [1, 3])):
        for part, joints in layout.parts.items():
            shares = [actionlet[row][..., list(joints)].sum() / actionlet[row].sum() for row in rows]
            assert found[label][part] == pytest.approx(np.mean(shares))
        assert sum(found[label].values()) == pytest.approx(1)


def test_the_tool_prints_a_table_and_writes_it(cfg, actclr, dataset, tmp_path, repo_root, monkeypatch, capsys):
    torch.save({'state_dict': actclr.state_dict()}, tmp_path / 'a.pth')
    cfg.dump(tmp_path / 'cfg.py')
    out = tmp_path / 'new' / 'shares.csv'
    monkeypatch.setattr(sys, 'argv', ['actionlet_parts.py', str(tmp_path / 'cfg.py'), str(tmp_path / 'a.pth'), '--out',
                                      str(out)])
    runpy.run_path(str(repo_root / 'tools/analysis_tools/actionlet_parts.py'), run_name='__main__')
    printed = capsys.readouterr().out
    shares = actionlet_part_shares(actclr, dataset)
    with out.open() as file:
        rows = {row['class']: row for row in csv.DictReader(file)}
    assert list(rows) == list(shares) == ['right hand', 'left hand', 'both']
    for name, parts in shares.items():
        assert name in printed
        for part, share in parts.items():
            assert float(rows[name][part]) == pytest.approx(share, abs=1e-4)
            assert part in printed
