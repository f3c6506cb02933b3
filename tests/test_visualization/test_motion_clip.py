"""What of a clip is drawn, where, and in which view."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmactclr.errors import DataError
from mmactclr.structures import get_layout, list_layouts
from mmactclr.visualization.bodies import PART_COLOURS, Bodies, legend_handles
from mmactclr.visualization.motion_clip import MotionClip

LAYOUT = get_layout('coco17')
V = LAYOUT.num_joints


def moving(persons: int = 1, frames: int = 5, axes: int = 3, layout=LAYOUT, away: float = 9.) -> np.ndarray:
    """(M, T, V, C) bodies of size one, far from the origin, shoulders above hips."""
    rng = np.random.default_rng(0)
    joints = away + rng.uniform(0, 1, (persons, frames, layout.num_joints, axes))
    joints[:, :, list(layout.shoulders), 1], joints[:, :, list(layout.hips), 1] = away + .8, away + .4
    return joints


def clip_of(joints: np.ndarray, layout=LAYOUT, **more) -> MotionClip:
    return MotionClip('made up', joints, layout, **more)


def drawn(clip: MotionClip, frame: int = 0) -> Bodies:
    ax = Figure(figsize=(2, 2)).add_axes((0, 0, 1, 1))
    bodies = Bodies(ax, clip, clip.limits(np.arange(clip.num_frames)))
    bodies.show(frame)
    return bodies


@pytest.mark.parametrize('name', list_layouts())
@pytest.mark.parametrize('axes', [2, 3])
def test_bones_and_joints_are_where_the_data_are_in_every_frame(name, axes):
    layout = get_layout(name)
    joints = moving(2, 3, axes, layout)
    for frame in range(3):
        bodies = drawn(clip_of(joints, layout), frame)
        for person in range(2):
            np.testing.assert_allclose(bodies.joints[person].get_offsets(), joints[person, frame, :, :2])
            for segment, (child, parent) in zip(bodies.bones[person].get_segments(), layout.bones, strict=True):
                np.testing.assert_allclose(segment, joints[person, frame, [child, parent], :2])


def test_limbs_have_the_colour_of_their_part_and_persons_differ():
    from matplotlib.colors import to_rgb
    bodies = drawn(clip_of(moving(2)))
    first, second = (bones.get_color()[:, :3] for bones in bodies.bones)
    for (child, _), colour, other in zip(LAYOUT.bones, first, second, strict=True):
        part = next(part for part, members in LAYOUT.parts.items() if child in members)
        np.testing.assert_allclose(colour, to_rgb(PART_COLOURS[part]))
        assert (other > colour).any() and (other >= colour).all()
    joints = [tuple(points.get_facecolor()[0]) for points in bodies.joints]
    assert joints[0] != joints[1]


def test_a_mirrored_clip_is_the_mirrored_picture():
    joints = moving()
    mirrored = joints.copy()
    mirrored[..., 0] *= -1
    mirrored = mirrored[:, :, list(LAYOUT.flip_index)]
    before, after = drawn(clip_of(joints)), drawn(clip_of(mirrored))
    segments = {tuple(np.round(s * [-1, 1], 6).ravel()) for s in before.bones[0].get_segments()}
    assert {tuple(np.round(s, 6).ravel()) for s in after.bones[0].get_segments()} == segments
    # what was the right arm is the left one: where red was, there is blue on the other side
    left, right = LAYOUT.shoulders
    np.testing.assert_allclose(after.joints[0].get_offsets()[left] * [-1, 1], before.joints[0].get_offsets()[right])


def test_absent_persons_and_frames_are_not_drawn():
    joints = moving(3)
    joints[1, 2:4] = 0
    clip = clip_of(joints, mask=np.array([True, True, False]))
    assert [bones.get_visible() for bones in drawn(clip, 0).bones] == [True, True, False]
    bodies = drawn(clip, 3)
    assert [points.get_visible() for points in bodies.joints] == [True, False, False]
    bodies.show(4)
    assert [points.get_visible() for points in bodies.joints] == [True, True, False]
    assert clip.num_seen == 2 and len(legend_handles([clip])) == 7
    # the view does not reach to where the absent ones would be, at zero
    assert clip.limits(np.array([3]))[0] > 5


@pytest.mark.parametrize('axes', [2, 3])
def test_joints_that_were_not_found_are_left_out_with_their_bones(axes):
    joints = moving(axes=axes)
    joints[0, 1, 9] = 0
    bodies = drawn(clip_of(joints), 1)
    assert len(bodies.joints[0].get_offsets()) == V - 1
    assert len(bodies.bones[0].get_segments()) == sum(9 not in bone for bone in LAYOUT.bones)
    bodies.show(0)
    assert len(bodies.joints[0].get_offsets()) == V
    # once a body was centred, zero is a place like any other
    assert clip_of(joints, centred=True).found.all()


def test_the_centre_of_a_centred_body_is_a_joint_at_zero():
    joints = moving(away=0)
    joints -= joints[:, :, LAYOUT.centre:LAYOUT.centre + 1]
    assert not joints[0, 0, LAYOUT.centre].any() and clip_of(joints).found.all()


@pytest.mark.parametrize('down', [False, True])
@pytest.mark.parametrize('axes', [2, 3])
def test_the_head_is_up_on_paper(down, axes):
    joints = moving(axes=axes)
    if down:
        joints[..., 1] = 1000 - joints[..., 1]
    clip = clip_of(joints)
    bodies = drawn(clip)
    on_paper = bodies.joints[0].axes.transData.transform(bodies.joints[0].get_offsets())
    assert on_paper[list(LAYOUT.shoulders), 1].min() > on_paper[list(LAYOUT.hips), 1].max()
    left, right, bottom, top = clip.limits(np.arange(5))
    assert left < right and (top < bottom) is down
    assert all((top < bottom) is down for _, _, bottom, top in clip.following_limits(np.arange(5)))


def test_views_that_follow_have_one_size_and_hold_their_frame():
    joints = moving(2, 4)
    joints += 3 * np.arange(4)[None, :, None, None]
    clip = clip_of(joints)
    views = clip.following_limits(np.arange(4))
    sizes = np.array([(right - left, top - bottom) for left, right, bottom, top in views])
    np.testing.assert_allclose(sizes, sizes[:1].repeat(4, 0))
    assert (sizes < 1.5).all()
    for frame, (left, right, bottom, top) in enumerate(views):
        x, y = joints[:, frame, :, 0], joints[:, frame, :, 1]
        assert left < x.min() and x.max() < right and bottom < y.min() and y.max() < top
    left, right, bottom, top = clip.limits(np.arange(4))
    assert left < joints[..., 0].min() and right > joints[..., 0].max()


def test_bodies_that_were_centred_one_by_one_stand_side_by_side():
    joints = moving(2, away=-.5)
    apart, together = clip_of(joints, centred=True), clip_of(joints)
    np.testing.assert_array_equal(apart.placed[0], joints[0, ..., :2])
    np.testing.assert_array_equal(apart.placed[..., 1], joints[..., 1])
    assert apart.placed[1, ..., 0].min() > apart.placed[0, ..., 0].max()
    np.testing.assert_array_equal(together.placed, joints[..., :2])


def test_motion_is_arrows_on_pale_bodies_all_enlarged_alike():
    joints, motion = moving(), np.zeros((1, 5, V, 3))
    motion[0, 0, 9], motion[0, 0, 10], motion[0, 1, 9, 2] = (.01, -.02, 5), (.002, 0, 0), 1
    bodies = drawn(clip_of(joints, motion=np.repeat(motion, 1, 0)))
    (arrows,) = bodies.arrows
    # nine in ten steps are zero, so nothing is enlarged
    np.testing.assert_allclose([arrows.U[9], arrows.V[9], arrows.U[10]], [.01, -.02, .002])
    everywhere = np.full((1, 5, V, 3), .001)
    clip = clip_of(joints, motion=everywhere)
    bodies = drawn(clip)
    assert 100 < clip.arrow_scale < 300
    np.testing.assert_allclose(bodies.arrows[0].U, .001 * clip.arrow_scale)
    np.testing.assert_allclose(bodies.arrows[0].get_offsets(), joints[0, 0, :, :2])
    colours = bodies.bones[0].get_color()
    assert np.allclose(colours, colours[0]) and colours[0][0] > .7


def test_what_was_taken_from_another_sequence_is_dotted():
    borrowed = np.zeros((1, 5, V), bool)
    borrowed[0, 2, list(LAYOUT.parts['left_arm'])] = True
    clip = clip_of(moving(), borrowed=borrowed)
    bodies = drawn(clip, 2)
    dotted = [style[1] is not None for style in bodies.bones[0].get_linestyle()]
    assert dotted == [child in LAYOUT.parts['left_arm'] for child, _ in LAYOUT.bones]
    bodies.show(1)
    assert all(style[1] is None for style in bodies.bones[0].get_linestyle())
    assert legend_handles([clip])[-1].get_label() == 'taken from another sequence'


def test_somebody_who_is_a_point_or_nobody_at_all_has_a_view():
    for clip in (clip_of(np.full((1, 3, V, 3), 2.)), clip_of(np.zeros((1, 3, V, 3)))):
        for left, right, bottom, top in [clip.limits(np.arange(3)), *clip.following_limits(np.arange(3))]:
            assert left < right and bottom != top
        drawn(clip)


@pytest.mark.parametrize('shape', [(5, V, 3), (1, 5, V - 1, 3), (1, 5, V, 1), (1, 0, V, 3)])
def test_joints_of_another_shape(shape):
    with pytest.raises(DataError, match=r'made up: joints have shape .*\(M, T, 17, 2 or 3\)'):
        clip_of(np.ones(shape))


def test_coordinates_that_are_no_numbers():
    joints = moving()
    joints[0, 1, 2, 0] = np.nan
    with pytest.raises(DataError, match='not finite.*verify.py'):
        clip_of(joints)
