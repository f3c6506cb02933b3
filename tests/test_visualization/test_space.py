"""Bodies in three dimensions: where they come to lie, what covers what, and what they stand on."""
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from mmactclr.errors import ConfigError
from mmactclr.structures import get_layout
from mmactclr.visualization import ActionletExample, Viewpoint, draw_actionlet_sheet, draw_motion
from mmactclr.visualization.bodies import PART_COLOURS, SpaceBodies, draw_bodies
from mmactclr.visualization.contact_sheet import SequenceRows, draw_contact_sheet
from mmactclr.visualization.skeleton import WEIGHT_COLOURS
from mmactclr.visualization.space import SpaceClip

from .test_motion_clip import LAYOUT, V, clip_of, moving

LIMBS = get_layout('kinect20_utdmhad')


@pytest.mark.parametrize('axes', [2, 3])
def test_from_the_front_nothing_changes(axes):
    clip = clip_of(moving(2, axes=axes), centred=axes == 3)
    seen = SpaceClip.of(clip, Viewpoint(0, 0))
    np.testing.assert_allclose(seen.placed, clip.placed, atol=1e-12)
    assert np.ptp(seen.nearness) == pytest.approx(np.ptp(clip.joints[..., 2]) if axes == 3 else 0, abs=1e-12)


def test_pictures_with_y_down_are_turned_and_not_mirrored():
    joints = moving()
    turned = clip_of(joints * [1, -1, -1])
    assert turned.y_grows_down
    view = Viewpoint(20, 50)
    np.testing.assert_allclose(SpaceClip.of(turned, view).placed, SpaceClip.of(clip_of(joints), view).placed)


@pytest.mark.parametrize(('elevation', 'azimuth', 'x', 'y', 'near'), [
    (0, 90, [0, 0, -1], [0, 1, 0], [1, 0, 0]), (0, -90, [0, 0, 1], [0, 1, 0], [-1, 0, 0]),
    (90, 0, [1, 0, 0], [0, 0, -1], [0, 1, 0]), (0, 180, [-1, 0, 0], [0, 1, 0], [0, 0, -1])])
def test_sides_are_where_one_would_look_from(elevation, azimuth, x, y, near):
    np.testing.assert_allclose(Viewpoint(elevation, azimuth).matrix(), np.stack([x, y, near], 1), atol=1e-12)


def test_all_directions_have_one_scale():
    clip = SpaceClip.of(clip_of(moving(away=0)), Viewpoint(33, 71))
    depth = clip.nearness[..., None]
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([clip.placed, depth], -1), axis=-1),
                               np.linalg.norm(clip.joints, axis=-1))
    assert np.linalg.det(clip.viewpoint.matrix()) == pytest.approx(1)


def test_the_nearer_covers_the_farther():
    """Two crossing bones, one before the other: the colour in the middle is that of the one in front."""
    first, second = next((a, b) for a in LAYOUT.bones for b in LAYOUT.bones
                         if not set(a) & set(b) and LAYOUT.part_of[a[0]] != LAYOUT.part_of[b[0]])
    names = list(LAYOUT.parts)
    for front, back in ((first, second), (second, first)):
        joints = np.zeros((1, 1, V, 3))
        joints[0, 0, :, :2] = [0, -40]
        joints[0, 0, list(LAYOUT.shoulders), 1] += 1
        for bone, z, tilt in ((front, 5, 1), (back, -5, -1)):
            joints[0, 0, bone[0]], joints[0, 0, bone[1]] = [-9, -9 * tilt, z], [9, 9 * tilt, z]
        figure = Figure(figsize=(2, 2), dpi=100)
        canvas = FigureCanvasAgg(figure)
        ax = figure.add_axes((0, 0, 1, 1))
        SpaceBodies(ax, SpaceClip.of(clip_of(joints, centred=True), Viewpoint(0, 0)), (-10, 10, -10, 10)).show(0)
        canvas.draw()
        middle = np.asarray(canvas.buffer_rgba())[99:101, 99:101, :3].reshape(-1, 3).mean(0) / 255
        np.testing.assert_allclose(middle, to_rgb(PART_COLOURS[names[LAYOUT.part_of[front[0]]]]), atol=.15)


def test_bones_joints_and_actionlets_have_their_colours_and_ends():
    weight = np.random.default_rng(1).random((1, 5, V))
    for clip, colour in ((clip_of(moving(), weight=weight),
                          lambda bone: WEIGHT_COLOURS(weight[0, 2, list(bone)].mean())),
                         (clip_of(moving()), lambda bone: (*to_rgb(PART_COLOURS[next(
                             part for part, members in LAYOUT.parts.items() if bone[0] in members)]), 1))):
        seen = SpaceClip.of(clip, Viewpoint())
        ax = Figure(figsize=(2, 2)).add_axes((0, 0, 1, 1))
        bodies = draw_bodies(ax, seen, seen.limits(np.arange(5)))
        bodies.show(2)
        lines = bodies.strokes.lines
        drawn = {tuple(np.round(segment, 9).ravel()): tuple(c) for segment, c in zip(
            lines.get_segments(), lines.get_colors(), strict=True)}
        for bone in LAYOUT.bones:
            np.testing.assert_allclose(drawn[tuple(np.round(seen.placed[0, 2, list(bone)], 9).ravel())], colour(bone))
        assert len(lines.get_segments()) == 2 * len(LAYOUT.bones) + (1 + (clip.weight is not None)) * V


def test_the_floor_is_under_the_lowest_joint_and_its_squares_are_round():
    joints = moving(away=3)
    joints[0, 1, 7, 1] = 2.5
    seen = SpaceClip.of(clip_of(joints), Viewpoint(0, 0))
    assert seen.floor == 2.5 and seen.shadows[..., 1] == pytest.approx(2.5)
    # seen from above, the floor is the plane of x and -z
    seen = SpaceClip.of(clip_of(joints), Viewpoint(90, 0))
    lines = seen.grid()
    ground = seen.joints[..., [0, 2]].reshape(-1, 2) * [1, -1]
    assert (lines.reshape(-1, 2).min(0) < ground.min(0)).all() and (lines.reshape(-1, 2).max(0) > ground.max(0)).all()
    np.testing.assert_allclose(lines / seen.square, np.round(lines / seen.square), atol=1e-9)
    assert seen.square in (.2, .5)
    for scale in (1, 1000):
        size = SpaceClip.of(clip_of(joints * scale), Viewpoint()).square / scale
        assert size == pytest.approx(seen.square) and math.log10(size * scale) < 4


def test_who_is_absent_casts_no_shadow_and_far_away_joints_make_no_grid():
    joints = moving(2)
    joints[1] = 0
    seen = SpaceClip.of(clip_of(joints), Viewpoint())
    ax = Figure(figsize=(2, 2)).add_axes((0, 0, 1, 1))
    bodies = SpaceBodies(ax, seen, seen.limits(np.arange(5)))
    bodies.show(0)
    assert len(bodies.scene._shadow.get_segments()) == len(LAYOUT.bones)
    nobody = SpaceClip.of(clip_of(0 * joints), Viewpoint())
    SpaceBodies(ax, nobody, nobody.limits(np.arange(5))).show(0)
    joints[0, 0, 3, 0] = 1e7
    assert not len(SpaceClip.of(clip_of(joints), Viewpoint()).grid())


def test_sheets_and_animations_are_drawn_from_any_clip(tmp_path):
    rng = np.random.default_rng(0)
    joints, borrowed = moving(2), rng.random((2, 5, V)) < .3
    clips = [clip_of(joints, borrowed=borrowed), clip_of(joints, motion=.1 * rng.normal(size=joints.shape)),
             clip_of(moving(axes=2))]
    rows = SequenceRows('wave', [SpaceClip.of(clip, Viewpoint(-20, 200)) for clip in clips])
    assert draw_contact_sheet([rows], tmp_path / 'a.png', 3).stat().st_size > 2000
    path = draw_motion(joints, LAYOUT, tmp_path / 'a.gif', 25, rng.random((2, 5, V)), view=Viewpoint())
    with Image.open(path) as image:
        assert image.n_frames == 5
    example = ActionletExample('wave', moving(layout=LIMBS)[0], rng.random((3, LIMBS.num_joints)), 'm')
    flat, space = (draw_actionlet_sheet([example], LIMBS, tmp_path / f'{name}.png', 3, view=view).read_bytes()
                   for name, view in (('flat', None), ('space', Viewpoint())))
    assert flat != space


@pytest.mark.parametrize('angles', [(91, 0), (float('nan'), 0), (0, float('inf'))])
def test_views_from_nowhere_are_refused(angles):
    with pytest.raises(ConfigError, match='expected -90 to 90 degrees'):
        Viewpoint(*angles)
