"""Drawings of single skeletons: what is on the axes, and what is refused."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout, list_layouts
from mmactclr.visualization import draw_skeleton, save_png, view_limits
from mmactclr.visualization.skeleton import WEIGHT_COLOURS


def body(layout: str, frames: int = 1, channels: int = 3) -> np.ndarray:
    """Joints (T, V, C) around a height of one."""
    joints = get_layout(layout).num_joints
    return np.random.default_rng(0).normal(1, .3, (frames, joints, channels))


def new_axes(width: float = 2, height: float = 2):
    return Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))


@pytest.mark.parametrize('layout', list_layouts())
@pytest.mark.parametrize('channels', [2, 3])
def test_every_bone_of_every_layout_is_one_segment_between_its_joints(layout, channels):
    joints, bones = body(layout, channels=channels)[0], get_layout(layout).bones
    lines, points = draw_skeleton(new_axes(), joints, layout)
    segments = lines.get_segments()
    assert len(segments) == len(bones)
    for segment, (child, parent) in zip(segments, bones, strict=True):
        np.testing.assert_allclose(segment, joints[[child, parent], :2])
    np.testing.assert_allclose(points.get_offsets(), joints[:, :2])


def test_colours_follow_the_weight_of_joints_and_the_mean_weight_of_bones():
    layout, joints = get_layout('ntu25'), body('ntu25')[0]
    weight = np.linspace(0, 1, 25)
    lines, points = draw_skeleton(new_axes(), joints, layout, weight)
    np.testing.assert_allclose(points.get_facecolor(), WEIGHT_COLOURS(weight))
    of_bones = [(weight[child] + weight[parent]) / 2 for child, parent in layout.bones]
    np.testing.assert_allclose(lines.get_color(), WEIGHT_COLOURS(np.array(of_bones)))


def test_colours_get_steadily_darker():
    red, green, blue = WEIGHT_COLOURS(np.linspace(0, 1, 50))[:, :3].T
    assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) < 0).all()


@pytest.mark.parametrize('size', [(1, 3), (3, 1)])
def test_scales_are_equal_and_the_whole_body_is_in_view(size):
    joints, ax = body('ntu25')[0], new_axes(*size)
    draw_skeleton(ax, joints, 'ntu25')
    ax.figure.draw_without_rendering()
    ends = ax.transData.transform([(0, 0), (1, 0), (0, 1)])
    assert abs(ends[1, 0] - ends[0, 0]) == pytest.approx(abs(ends[2, 1] - ends[0, 1]))
    inside = ax.transAxes.inverted().transform(ax.transData.transform(joints[:, :2]))
    assert inside.min() >= 0 and inside.max() <= 1


@pytest.mark.parametrize('down', [False, True])
def test_the_head_is_up_in_space_and_in_images(down):
    layout, joints = get_layout('coco17'), body('coco17', frames=4)
    joints[:, list(layout.shoulders), 1] = -2 if down else 2
    joints[:, list(layout.hips), 1] = 0
    bottom, top = view_limits(joints, layout)[2:]
    assert (top < bottom) is down


def test_a_body_that_is_a_single_point_is_drawn():
    left, right, bottom, top = view_limits(np.zeros((3, 25, 3)), 'ntu25')
    assert left < right and bottom < top
    draw_skeleton(new_axes(), np.zeros((25, 3)), 'ntu25')


def test_unknown_layout():
    with pytest.raises(ConfigError, match='starfish'):
        draw_skeleton(new_axes(), np.zeros((5, 3)), 'starfish')


@pytest.mark.parametrize('shape', [(20, 3), (25, 1), (2, 25, 3), (25, 0)])
def test_joints_of_another_shape(shape):
    with pytest.raises(DataError, match='V = 25.*ntu25'):
        draw_skeleton(new_axes(), np.zeros(shape), 'ntu25')


def test_joints_that_are_not_numbers():
    joints = body('ntu25')[0]
    joints[3, 1] = np.nan
    with pytest.raises(DataError, match='1 coordinates'):
        draw_skeleton(new_axes(), joints, 'ntu25')


@pytest.mark.parametrize('weight', [np.zeros(20), np.zeros((25, 1)), np.zeros(())])
def test_weight_of_another_shape(weight):
    with pytest.raises(DataError, match='weight has shape'):
        draw_skeleton(new_axes(), body('ntu25')[0], 'ntu25', weight)


@pytest.mark.parametrize('value', [-0.1, 1.1, np.nan])
def test_weight_outside_its_range(value):
    with pytest.raises(DataError, match=r'\[0, 1\]'):
        draw_skeleton(new_axes(), body('ntu25')[0], 'ntu25', np.full(25, value))


def test_a_picture_needs_a_name_in_png_and_a_place(tmp_path):
    with pytest.raises(ConfigError, match='ends in .png'):
        save_png(Figure(), tmp_path / 'sheet.jpg')
    (tmp_path / 'file').write_text('not a folder')
    with pytest.raises(ConfigError, match='cannot be written'):
        save_png(Figure(), tmp_path / 'file' / 'sheet.png')
    assert [path.name for path in tmp_path.iterdir()] == ['file']
