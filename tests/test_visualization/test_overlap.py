"""Actionlets of transformed copies beside those of the originals."""
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.image import imread

from mmactclr.apis.actionlet_views import actionlet_agreement, selection_iou, transformed_copies
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout
from mmactclr.visualization import OverlapRow, draw_mean_motion, draw_overlap, overlap_cells

LAYOUT = get_layout('ntu25')


def energy(keypoint, mask):
    """An actionlet that is known: how far every joint goes from cell to cell, five frames each."""
    steps = keypoint.diff(dim=2, append=keypoint[:, :, -1:]).norm(dim=-1)
    return steps[:, :, :25].reshape(*steps.shape[:2], 5, 5, 25).mean(3) * mask[:, :, None, None]


@pytest.fixture(scope='module')
def sequences():
    """Three sequences in which another limb moves at another time; the second person of the last is there, too."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(3, 2, 1, 25, 3, generator=generator).repeat(1, 1, 25, 1, 1)
    for i, part in enumerate(('right_arm', 'left_leg', 'left_arm')):
        for person in range(2):
            joints[i, person, 5 * i:5 * i + 9, list(LAYOUT.parts[part]), 1] += torch.linspace(0, 3 + person, 9)[:, None]
    mask = torch.tensor([[True, False], [True, False], [True, True]])
    return joints * mask[:, :, None, None, None], mask


def test_copies_are_brought_back_to_joints_and_moments_of_the_original(sequences):
    keypoint, mask = sequences
    original, found = actionlet_agreement(energy, keypoint, mask, LAYOUT)
    ious = {each.name: each.iou for each in found}
    # lengths of steps do not depend on the view; backwards, every step lies one frame later
    for name in ('seen from 90°', 'mirrored'):
        assert ious[name].tolist() == [1, 1, 1], name
    assert ious['backwards in time'].min() > .6 and ious['shear'].min() > .6
    assert ious['another sequence'].max() < .3
    mirrored = next(each for each in found if each.name == 'mirrored')
    assert (mirrored.own[0, 0, :, list(LAYOUT.parts['left_arm'])].sum()
            == pytest.approx(original[0, 0, :, list(LAYOUT.parts['right_arm'])].sum().item(), rel=1e-5))
    torch.testing.assert_close(mirrored.back, original)


def test_the_cropped_copy_is_compared_where_it_shows_something(sequences):
    keypoint, mask = sequences
    crop = next(each for each in transformed_copies(keypoint, mask, LAYOUT) if each.name.startswith('middle'))
    assert crop.keypoint.shape == keypoint.shape
    torch.testing.assert_close(crop.keypoint[0, 0, 12], keypoint[0, 0, 12])
    # a ramp over the cells of the copy, 0 to 4, which cover cells 0.6 to 3.4 of the original
    ramp = torch.arange(5.)[None, None, :, None].expand(1, 1, 5, 25)
    back = crop.back(ramp)[0, 0, :, 3]
    assert torch.isnan(back).tolist() == [True, False, False, False, True]
    assert back[1:4].tolist() == pytest.approx([(cell - .6) / 2.8 * 4 for cell in (1, 2, 3)], abs=1e-5)


def test_intersection_over_union_by_hand():
    first, second = torch.zeros(2, 2, 3, 4), torch.zeros(2, 2, 3, 4)
    first[0, 0, 0, :2] = second[0, 0, 0, 1:3] = 1
    second[0, 0, 2] = torch.nan
    found = selection_iou(first, second, torch.tensor([[True, False], [False, False]]))
    assert found[0] == pytest.approx(1 / 3) and torch.isnan(found[1])
    cells = overlap_cells(first[0, 0].numpy(), second[0, 0].numpy())
    assert cells.tolist() == [[1, 3, 2, 0], [0] * 4, [4] * 4]


def test_the_drawing_shows_the_cells_by_body_part(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(Axes, 'imshow', lambda self, values, **_: shown.append(values))
    cells = np.random.default_rng(0).integers(0, 5, (3, 25))
    row = OverlapRow('a copy', np.random.default_rng(1).normal(size=(8, 25, 3)), np.ones((3, 25)), cells, 'IoU 1')
    assert imread(draw_overlap([row, row], LAYOUT, tmp_path / 'o.png')).shape[0] > 200
    order = [joint for part in ('trunk', 'right_arm', 'left_arm', 'right_leg', 'left_leg')
             for joint in LAYOUT.parts[part]]
    assert all((values == cells[:, order].T).all() for values in shown) and len(shown) == 2


def test_nothing_to_draw_and_shapes_that_do_not_fit(tmp_path):
    with pytest.raises(ConfigError, match='0 rows'):
        draw_overlap([], LAYOUT, tmp_path / 'o.png')
    row = OverlapRow('copy', np.zeros((8, 25, 3)), np.ones((3, 24)), np.zeros((3, 24)))
    with pytest.raises(DataError, match="'copy'.*25"):
        draw_overlap([row], LAYOUT, tmp_path / 'o.png')


def test_a_mean_motion_leaves_out_who_is_never_there(tmp_path, monkeypatch):
    from mmactclr.visualization import motion
    sheets = []
    monkeypatch.setattr(motion, 'draw_contact_sheet', lambda rows, *_: sheets.append(rows))
    mean = np.random.default_rng(0).normal(size=(2, 6, 25, 3))
    mean[1] = 0
    draw_mean_motion({'mean motion': mean}, 'ntu25', tmp_path / 'm.png', 'title')
    (clip,) = sheets[0][0].clips
    assert clip.mask.tolist() == [True, False] and (clip.joints == mean).all()
