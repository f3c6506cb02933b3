"""The sheet of actionlets: a picture of a sensible size, from any layout, and its numbers."""
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from mmactclr.errors import ConfigError, DataError
from mmactclr.models.heads import upsample_region
from mmactclr.structures import get_layout, list_layouts
from mmactclr.visualization import (
    ActionletExample,
    draw_actionlet_sheet,
    drawn_frames,
    frame_weights,
)
from mmactclr.visualization.actionlet import draw_heat_map

RNG = np.random.default_rng(0)


def example(layout: str = 'ntu25', frames: int = 20, cells: int = 5, title: str = 'wave'):
    joints = get_layout(layout).num_joints
    positions, actionlet = RNG.normal(size=(frames, joints, 3)), RNG.random((cells, joints))
    return ActionletExample(title, positions, actionlet)


@pytest.mark.parametrize('layout', list_layouts())
def test_a_sheet_of_every_layout_is_a_png_with_ink_on_it(tmp_path, layout):
    path = tmp_path / 'new' / 'sheet.png'
    assert draw_actionlet_sheet([example(layout)], layout, path, num_frames=3) == path
    image = imread(path)
    assert 150 < image.shape[0] < 600 and 500 < image.shape[1] < 1500
    assert 0.02 < (image[..., :3].min(-1) < 0.95).mean() < 0.9
    assert [p.name for p in path.parent.iterdir()] == ['sheet.png']


def test_a_sheet_grows_by_its_rows(tmp_path):
    heights = [imread(draw_actionlet_sheet([example()] * rows, 'ntu25', tmp_path / f'{rows}.png',
                                           num_frames=2)).shape[0] for rows in (1, 2, 3)]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=1)
    assert heights[1] - heights[0] > 100


@pytest.mark.parametrize('frames, cells', [(1, 1), (1, 4), (9, 1)])
def test_shortest_sequences_are_drawn(tmp_path, frames, cells):
    path = draw_actionlet_sheet([example(frames=frames, cells=cells)], 'ntu25', tmp_path / 'a.png')
    assert path.stat().st_size > 1000


def test_an_actionlet_of_zeros_is_drawn(tmp_path):
    row = example()
    blank = ActionletExample('nothing', row.joints, np.zeros_like(row.actionlet))
    assert draw_actionlet_sheet([blank], 'ntu25', tmp_path / 'a.png', num_frames=2).is_file()
    assert (frame_weights(blank.actionlet, 20) == 0).all()


@pytest.mark.parametrize('cells, frames', [(13, 50), (8, 32), (1, 4), (4, 1)])
def test_weights_of_frames_equal_the_models_own_upsampling(cells, frames):
    actionlet = RNG.random((cells, 25))
    expected = upsample_region(torch.from_numpy(actionlet)[None], frames)[0] / actionlet.max()
    np.testing.assert_allclose(frame_weights(actionlet, frames), expected, atol=1e-12)


def test_drawn_frames_are_even_and_never_twice():
    assert drawn_frames(50, 8).tolist() == [0, 7, 14, 21, 28, 35, 42, 49]
    assert drawn_frames(3, 8).tolist() == [0, 1, 2]
    assert drawn_frames(1, 8).tolist() == [0]


def test_the_heat_map_groups_joints_by_part():
    layout, actionlet = get_layout('ntu25'), np.zeros((5, 25))
    actionlet[2, list(layout.parts['right_leg'])] = 3.0
    ax = Figure().add_subplot()
    draw_heat_map(ax, actionlet, layout, [0, 19], 20)
    image = ax.images[0].get_array()
    before = sum(len(layout.parts[part]) for part in ('trunk', 'right_arm', 'left_arm'))
    hot = np.argwhere(image == 1)
    assert hot.tolist() == [[before + i, 2] for i in range(4)] and image.sum() == 4
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == ['trunk', 'right arm', 'left arm', 'right leg', 'left leg']
    assert before < ax.get_yticks()[3] < before + 4


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ConfigError, match='0 sequences'):
        draw_actionlet_sheet([], 'ntu25', tmp_path / 'a.png')


def test_unknown_layout(tmp_path):
    with pytest.raises(ConfigError, match='starfish'):
        draw_actionlet_sheet([example()], 'starfish', tmp_path / 'a.png')


@pytest.mark.parametrize('joints, actionlet, message', [
    (np.zeros((20, 20, 3)), np.zeros((5, 25)), 'joints have shape'),
    (np.zeros((20, 25, 3)), np.zeros((5, 20)), 'actionlet has shape'),
    (np.zeros((20, 25, 3)), np.zeros((0, 25)), 'actionlet has shape'),
    (np.zeros((20, 25, 3)), np.full((5, 25), -1.), 'negative'),
    (np.zeros((20, 25, 3)), np.full((5, 25), np.nan), 'NaN')])
def test_a_sequence_that_does_not_fit_is_named(tmp_path, joints, actionlet, message):
    rows = [example(), ActionletExample('kick', joints, actionlet)]
    with pytest.raises(DataError, match=f"'kick'.*{message}"):
        draw_actionlet_sheet(rows, 'ntu25', tmp_path / 'a.png')
    assert not list(tmp_path.iterdir())
