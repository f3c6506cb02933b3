"""Heat maps of mean actionlets: what is drawn is what a plain loop gives."""
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.image import imread

from mmactclr.errors import DataError
from mmactclr.evaluation import class_shares
from mmactclr.structures import get_layout
from mmactclr.visualization import draw_joint_heat_map, draw_time_heat_map

LAYOUT = get_layout('kinect20_utdmhad')


@pytest.fixture
def drawn(monkeypatch):
    """Collects the arrays that are drawn."""
    found, real = [], Axes.imshow
    monkeypatch.setattr(Axes, 'imshow', lambda self, values, **more: found.append(values) or real(self, values, **more))
    return found


def test_maps_hold_the_mean_of_what_each_sequence_has_on_a_joint_and_in_a_cell(drawn, tmp_path):
    rng = np.random.default_rng(0)
    actionlet, labels = rng.random((6, 2, 4, 20)) * rng.uniform(1, 9, (6, 1, 1, 1)), [1, 0, 1, 1, 0, 2]
    actionlet[3] = 0
    found = class_shares(torch.from_numpy(actionlet), torch.tensor(labels))
    assert {label: each.count for label, each in found.items()} == {0: 2, 1: 2, 2: 1}
    draw_joint_heat_map(np.stack([found[k].joints for k in range(3)]), ['a', 'b $', 'c'], LAYOUT, tmp_path / 'j.png')
    draw_time_heat_map(np.stack([found[k].cells for k in range(3)]), ['a', 'b', 'c'], 16, tmp_path / 't.png')
    joints, cells = drawn
    order = [joint for members in LAYOUT.parts.values() for joint in members]
    for label in range(3):
        rows = [i for i in range(6) if labels[i] == label and i != 3]
        for row, joint in enumerate(order):
            expected = 100 * np.mean([actionlet[i, :, :, joint].sum() / actionlet[i].sum() for i in rows])
            assert joints[row, label] == pytest.approx(expected)
        for cell in range(4):
            expected = 100 * np.mean([actionlet[i, :, cell].sum() / actionlet[i].sum() for i in rows])
            assert cells[cell, label] == pytest.approx(expected)
    assert joints.sum(0) == pytest.approx(100) and cells.sum(0) == pytest.approx(100)
    assert imread(tmp_path / 'j.png').shape[0] > imread(tmp_path / 't.png').shape[0] > 100


@pytest.mark.parametrize(('shares', 'classes', 'message'), [
    (np.zeros((2, 19)), ['a', 'b'], 'V of layout .kinect20_utdmhad. = 20'), (np.zeros((2, 20)), ['a'], '1 classes'),
    (np.zeros((0, 20)), [], 'at least one'), (np.full((1, 20), np.nan), ['a'], 'NaN'),
    (-np.ones((1, 20)), ['a'], 'neg')])
def test_what_does_not_fit_is_refused(shares, classes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        draw_joint_heat_map(shares, classes, LAYOUT, tmp_path / 'j.png')
    assert not list(tmp_path.iterdir())
