"""Contact sheets, animations, and the stages they show."""
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from PIL import Image

from mmactclr.datasets import ArchiveWriter
from mmactclr.errors import ConfigError, DataError
from mmactclr.models.data_preprocessor import ContrastivePreprocessor
from mmactclr.structures import get_layout
from mmactclr.visualization.animation import animation_frames, draw_animation
from mmactclr.visualization.contact_sheet import SequenceRows, draw_contact_sheet
from mmactclr.visualization.motion_clip import MotionClip
from mmactclr.visualization.stages import choose_sequences, prepared_clip, raw_clip, upright, view_clips

from .test_motion_clip import LAYOUT, V, clip_of, moving


def rows(*frames: int, fps: float | None = 30, title: str = 'wave') -> SequenceRows:
    return SequenceRows(title, [clip_of(moving(frames=count)) for count in frames], fps)


# sheets

def test_a_sheet_grows_by_a_row_for_every_stage(tmp_path):
    height = {stages: imread(draw_contact_sheet([rows(*[9] * stages)], tmp_path / 'a.png', 3)).shape[0]
              for stages in (1, 2, 3)}
    assert height[3] - height[2] == pytest.approx(height[2] - height[1], abs=1) and height[2] - height[1] > 80
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_a_sheet_has_a_skeleton_for_every_key_frame_and_no_more_than_there_are_frames(tmp_path):
    def cells(frames):
        image = imread(draw_contact_sheet([rows(frames)], tmp_path / 'a.png', 8))[..., :3]
        # bodies are the only colours that are strong; look right of the labels and below the legend
        coloured = (np.ptp(image, axis=-1) > .3)[60:, 150:]
        return [bool(part.any()) for part in np.array_split(coloured, 8, axis=1)]

    assert cells(20) == [True] * 8 and cells(3) == [True] * 3 + [False] * 5


def test_titles_are_taken_literally(tmp_path):
    draw_contact_sheet([rows(3, title=r'$x^ {\wave} 50% _')], tmp_path / 'a.png', caption='$no^math')


def test_a_frame_without_anybody_says_so(tmp_path, monkeypatch):
    from matplotlib.axes import Axes
    texts, original = [], Axes.text
    monkeypatch.setattr(Axes, 'text', lambda self, x, y, s, **more: texts.append(s) or original(self, x, y, s, **more))
    joints = moving(frames=3)
    joints[:, 1] = 0
    draw_contact_sheet([SequenceRows('wave', [clip_of(joints)])], tmp_path / 'a.png', 3)
    assert texts == ['0', '1: nobody', '2']


def test_nothing_to_draw_and_nowhere_to_write(tmp_path):
    with pytest.raises(ConfigError, match='0 rows'):
        draw_contact_sheet([], tmp_path / 'a.png')
    (tmp_path / 'file').write_text('not a folder')
    with pytest.raises(ConfigError, match='cannot be written'):
        draw_contact_sheet([rows(3)], tmp_path / 'file' / 'a.png')
    for path, message in ((tmp_path / 'a.avi', 'ends in .gif'), (tmp_path / 'file' / 'a.gif', 'cannot be written')):
        with pytest.raises(ConfigError, match=message):
            draw_animation(rows(3), path)
    with pytest.raises(ConfigError, match='of 0 stages'):
        draw_animation(SequenceRows('wave', []), tmp_path / 'a.gif')
    assert [path.name for path in tmp_path.iterdir()] == ['file']


# animations

@pytest.mark.parametrize(('frames', 'fps', 'shown', 'milliseconds'), [
    ((7, 4), 25, 7, 40), ((4, 11), 10, 4, 100), ((5,), None, 5, 30), ((9,), 100, 5, 20)])
def test_a_gif_has_the_frames_of_the_first_stage_at_their_speed(tmp_path, frames, fps, shown, milliseconds):
    path = draw_animation(rows(*frames, fps=fps), tmp_path / 'new' / 'a.gif')
    with Image.open(path) as image:
        assert image.n_frames == shown and image.info['duration'] == milliseconds and image.info['loop'] == 0
        # one panel for each stage, two and a half at least
        assert image.width == pytest.approx(80 * 2.2 * 2.5, abs=1)
    assert [entry.name for entry in path.parent.iterdir()] == ['a.gif']


def test_long_and_fast_recordings_last_as_long_as_they_did():
    for frames, fps in ((90, 30.), (400, 120.), (5000, 30.), (9000, 250.)):
        shown, speed = animation_frames(frames, fps)
        assert len(shown) <= 600 and speed <= 50
        assert len(shown) / speed == pytest.approx(frames / fps, abs=1 / speed)


def test_stages_of_other_lengths_end_together(tmp_path, monkeypatch):
    from mmactclr.visualization import bodies
    shown = []
    monkeypatch.setattr(bodies.Bodies, 'show', lambda self, frame: shown.append(frame))
    draw_animation(rows(5, 9, 1, 3), tmp_path / 'a.gif')
    assert np.reshape(shown, (5, 4)).T.tolist() == [[0, 1, 2, 3, 4], [0, 2, 4, 6, 8], [0] * 5, [0, 0, 1, 2, 2]]


# stages

@pytest.fixture
def archive(tmp_path):
    """Twelve sequences of three classes, z up; nobody has a second person."""
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['wave', 'nod', 'bow'], fps=30) as writer:
        for i in range(12):
            joints = moving(frames=6 + i)[..., [0, 2, 1]] + i
            if i == 3:
                joints[0, 2, 9] = 0
            writer.add(joints, label=i % 3, name=f'take{i}')
        return writer.finish()


def test_recordings_are_shown_upright_whatever_axis_is_up(archive):
    up, turn = upright(archive)
    assert up == '+z'
    clip, raw = raw_clip(archive, 1, up, turn), archive.sequence(1)
    np.testing.assert_allclose(clip.joints, np.stack([raw[..., 0], raw[..., 2], -raw[..., 1]], -1), rtol=1e-6)
    assert clip.notes == ('coco17', 'unit m', '+z turned up') and not clip.y_grows_down
    assert upright(archive, '+y') == ('+y', pytest.approx(np.eye(3)))
    # 6 frames and 3 more of 17 joints
    assert raw_clip(archive, 3, up, turn).notes[-1] == f'{1 / (9 * 17):.1%} of the joints not found'


def test_flat_recordings_stay_as_they_are(tmp_path):
    joints = 1000 - 50 * moving(axes=2)
    with ArchiveWriter(tmp_path / 'flat', LAYOUT, unit='pixel') as writer:
        writer.add(joints)
        archive = writer.finish()
    clip = raw_clip(archive, 0, *upright(archive))
    np.testing.assert_array_equal(clip.joints, joints.astype(np.float32))
    assert clip.y_grows_down and clip.notes == ('coco17', 'unit pixel')


def test_recordings_that_tell_no_axis_are_shown_as_they_are(tmp_path):
    joints = moving()
    joints[:, :, list(LAYOUT.hips)] = 0
    with ArchiveWriter(tmp_path / 'legless', LAYOUT, unit='unknown') as writer:
        writer.add(joints)
        archive = writer.finish()
    clip = raw_clip(archive, 0, *upright(archive))
    np.testing.assert_array_equal(clip.joints, joints.astype(np.float32))


def augmented(views, streams=('joint', 'motion', 'bone')):
    """A batch of three prepared sequences, its views, and their clips for the first sequence."""
    rng = np.random.default_rng(3)
    joints = torch.from_numpy(rng.normal(size=(3, 2, 20, V, 3))).float()
    joints -= joints[:, :, :, LAYOUT.centre:LAYOUT.centre + 1].clone()
    joints[0, 1] = 0
    mask = joints.flatten(2).any(-1)
    preprocessor = ContrastivePreprocessor(LAYOUT, views, ('joint', 'motion', 'bone'))
    batch = dict(inputs=joints, mask=mask, index=torch.arange(3))
    out = preprocessor(batch, True, views=list(views))
    return joints, out, view_clips(out, 0, LAYOUT, streams, ['one', 'two', 'three'])


def test_views_are_drawn_as_they_are_in_every_stream():
    joints, out, clips = augmented(dict(query=dict(joints=[dict(type='RandomShear')]), key=dict()))
    assert [clip.label for clip in clips] == [f'{view}, {stream}' for view in ('query', 'key')
                                             for stream in ('joint', 'motion', 'bone')]
    joint, motion, bone = clips[:3]
    expected = out['inputs']['joint']['query'][0].numpy()
    np.testing.assert_array_equal(joint.joints, expected)
    np.testing.assert_array_equal(motion.joints, expected)
    np.testing.assert_allclose(motion.motion[:, :-1], np.diff(expected, axis=1), atol=1e-6)
    # bones know no place: put together, the same body
    np.testing.assert_allclose(bone.joints[0], expected[0] - expected[0][:, [LAYOUT.centre]], atol=1e-5)
    np.testing.assert_array_equal(clips[3].joints, joints[0])
    assert motion.notes == (f'steps to the next frame, {motion.arrow_scale:.2g} times as long',)
    assert all(clip.found[0].all() and not clip.found[1].any() and clip.borrowed is None for clip in clips)
    assert [clip.label for clip in augmented(dict(key=dict()), ['bone'])[2]] == ['key, bone']


def test_a_flipped_view_has_its_limbs_on_the_other_side():
    joints, _, (clip,) = augmented(dict(key=dict(joints=[dict(type='RandomFlip', p=1.)])), ['joint'])
    left, right = LAYOUT.shoulders
    np.testing.assert_array_equal(clip.joints[:, :, left], joints[0, :, :, right])
    np.testing.assert_array_equal(clip.joints[:, :, right], joints[0, :, :, left])


def test_a_masked_axis_is_said():
    found = set()
    for clip in augmented({f'v{i}': dict(joints=[dict(type='AxisMask', p=1.)]) for i in range(12)}, ['joint'])[2]:
        empty = [axis for axis in range(3) if not clip.joints[..., axis].any()]
        assert clip.notes == (f'{"xyz"[empty[0]]} set to zero',)
        found.update(empty)
    assert len(found) > 1


@pytest.mark.parametrize('kind', ['cutmix', 'mixup'])
def test_a_mixed_view_says_with_whom_and_marks_what_is_not_its_own(kind):
    chances = dict(cutmix=0., resizemix=0., mixup=0.) | {kind: 1.}
    joints, out, (clip,) = augmented(dict(mix=dict(stream=[dict(type='SkeletonMix', **chances)])), ['joint'])
    mix = out['mixes']['mix']
    partner = int(mix.partner[0])
    assert clip.notes[-1].endswith(f'own, the rest from {["one", "two", "three"][partner]}')
    own = ~clip.borrowed[0]
    np.testing.assert_array_equal(clip.joints[0][own], joints[0, 0].numpy()[own])
    if kind == 'cutmix':
        assert 0 < own.mean() < 1 and clip.notes[-1].startswith(f'{own.mean():.0%} own')
        np.testing.assert_array_equal(clip.joints[0][~own], joints[partner, 0].numpy()[~own])
    else:
        assert not own.any()


def test_the_prepared_stage_is_the_sample():
    joints, mask = torch.randn(2, 8, 25, 3), torch.tensor([True, False])
    clip = prepared_clip(joints, mask, get_layout('ntu25'))
    np.testing.assert_array_equal(clip.joints, joints)
    assert clip.centred and clip.found[0].all() and not clip.found[1].any() and clip.notes == ('ntu25', '8 frames')


# choice

def test_as_many_classes_as_possible_in_a_reproducible_choice(archive):
    everything = np.arange(12)
    chosen = choose_sequences(archive, everything, 3)
    assert sorted(archive.labels[chosen]) == [0, 1, 2] and (np.diff(chosen) > 0).all()
    assert sorted(np.bincount(archive.labels[choose_sequences(archive, everything, 7)])) == [2, 2, 3]
    np.testing.assert_array_equal(chosen, choose_sequences(archive, everything, 3))
    assert len({tuple(choose_sequences(archive, everything, 3, seed=seed)) for seed in range(10)}) > 3
    assert choose_sequences(archive, everything, 99).tolist() == everything.tolist()


def test_choice_by_class_and_name(archive):
    some = np.arange(1, 9)
    assert set(archive.labels[choose_sequences(archive, some, 99, classes=['bow', 'nod'])]) == {1, 2}
    assert choose_sequences(archive, some, 1, names=['take7', 'take2']).tolist() == [2, 7]
    assert choose_sequences(archive, some, 1, classes=['nod'], names=['take7', 'take2']).tolist() == [7]
    for arguments, message in ((dict(names=['take10']), "no sequence .*'take10'; there are take1, .*take8$"),
                               (dict(classes=['jump']), "no class .*'jump'; there are bow, nod, wave$"),
                               (dict(classes=['wave'], names=['take7']), 'none of 8 sequences')):
        with pytest.raises(DataError, match=message):
            choose_sequences(archive, some, 3, **arguments)


def test_damaged_coordinates_are_named(archive):
    rows = np.load(archive.path / 'keypoints.npy', mmap_mode='r+')
    rows[7] = np.inf
    rows.flush()
    with pytest.raises(DataError, match="'take1': raw: there are coordinates that are not finite"):
        raw_clip(archive, 1, '+y', np.eye(3))
    assert isinstance(raw_clip(archive, 0, '+y', np.eye(3)), MotionClip)
