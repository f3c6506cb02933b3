"""The built-in set: seeded, within its stated ranges, with ground truth of what moves."""
from dataclasses import replace

import numpy as np
import pytest

from mmactclr.datasets import SkeletonArchive, make_synthetic, single_limb_sequences
from mmactclr.datasets.synthetic import MOVING_SPEED, Nuisance
from mmactclr.datasets.synthetic_actions import ACTIONS
from mmactclr.errors import ConfigError
from mmactclr.registry import CONVERTERS

CLEAN = Nuisance(noise=0, lost=0, sway=0)


@pytest.fixture(scope='module')
def default_set():
    return make_synthetic()


@pytest.fixture(scope='module')
def clean_set():
    return make_synthetic(num_subjects=3, repeats=3, nuisance=CLEAN)


def relative_speed(keypoint):
    """Metres per second against joint 20 of (M, T, V, 3), a second way to tell what moves."""
    centred = keypoint.astype(np.float64) - keypoint[:, :, 20:21]
    return np.linalg.norm(np.gradient(centred, axis=1), axis=-1) * 30


def test_shapes_lengths_and_columns(default_set):
    assert len(default_set) == 12 * 4 * len(ACTIONS)
    assert default_set.classes == tuple(action.name for action in ACTIONS)
    assert default_set.label.shape == default_set.subject.shape == default_set.camera.shape
    assert set(default_set.label) == set(range(len(ACTIONS)))
    for sequence, moving, label in zip(default_set.sequences, default_set.moving,
                                       default_set.label, strict=True):
        persons = 1 if ACTIONS[label].partner is None else 2
        assert sequence.dtype == np.float32 and np.isfinite(sequence).all()
        assert sequence.shape[0] == persons and sequence.shape[2:] == (25, 3)
        assert 40 <= sequence.shape[1] <= 120 and moving.shape == sequence.shape[:3]
        assert sequence.any(axis=(2, 3)).all()


def test_splits_share_no_subject_or_camera(default_set):
    for name, column in (('xsub', default_set.subject), ('xview', default_set.camera)):
        train = default_set.splits[name] == 'train'
        assert not set(column[train]) & set(column[~train])
        for part in (train, ~train):
            assert set(default_set.label[part]) == set(range(len(ACTIONS)))


def test_seed_decides_and_more_subjects_leave_the_first_ones_alone():
    once, again, other = (make_synthetic(2, 1, seed=seed) for seed in (3, 3, 4))
    more = make_synthetic(3, 1, seed=3)
    same_second_person = [i for i in range(len(once)) if once.subject[i] == 0]
    for i, sequence in enumerate(once.sequences):
        np.testing.assert_array_equal(sequence, again.sequences[i])
        assert sequence.shape != other.sequences[i].shape or not np.allclose(
            sequence, other.sequences[i])
    for i in same_second_person:
        np.testing.assert_array_equal(once.sequences[i], more.sequences[i])


def test_bodies_face_the_whole_circle_or_the_camera(default_set):
    def yaw(made):
        shoulders = np.stack([s[0, 0, 8] - s[0, 0, 4] for s in made.sequences])
        return np.degrees(np.arctan2(-shoulders[:, 2], shoulders[:, 0]))

    assert (np.histogram(yaw(default_set), 12, (-180, 180))[0] > 30).all()
    still = Nuisance(yaw=0, pitch=0, posture=0, habit=0, sway=0, noise=0, lost=0)
    assert np.abs(yaw(make_synthetic(2, 1, nuisance=still))).max() < 1e-3


def test_pitch_is_limited_and_depends_on_the_camera():
    upright = Nuisance(yaw=0, posture=0, habit=0, sway=0, noise=0, lost=0)
    made = make_synthetic(2, 9, nuisance=upright)
    standing = np.isin(made.label, [made.classes.index('wave right'), made.classes.index('clap')])
    trunk = np.stack([s[0, 0, 20] - s[0, 0, 0] for s in made.sequences])[standing]
    pitch = np.degrees(np.arctan2(trunk[:, 2], trunk[:, 1]))
    assert np.abs(pitch).max() <= 15 + 1e-3
    by_camera = [pitch[made.camera[standing] == camera] for camera in range(3)]
    assert by_camera[0].max() < by_camera[1].min() and by_camera[1].max() < by_camera[2].min()


@pytest.mark.parametrize(('name', 'measure', 'expected'), [
    ('noise', lambda s: (s['on'] - s['off']).std(), .01),
    ('lost', lambda s: (np.diff(s['on'], axis=1) == 0).all(-1).any(1).mean(), .05),
])
def test_sensor_faults_have_their_stated_size(name, measure, expected):
    without = replace(CLEAN, idle=0)
    faulty = replace(without, **{name: getattr(Nuisance(), name)})
    # noise is needed for a tracked joint never to stand still by itself
    if name == 'lost':
        faulty = replace(faulty, noise=.01)
    on, off = (make_synthetic(4, 2, nuisance=nuisance) for nuisance in (faulty, without))
    sizes = [measure({'on': a, 'off': b})
             for a, b in zip(on.sequences, off.sequences, strict=True)]
    assert np.mean(sizes) == pytest.approx(expected, rel=.2)


def test_moving_joints_are_those_that_move(clean_set):
    for sequence, moving in zip(clean_set.sequences, clean_set.moving, strict=True):
        speed = relative_speed(sequence)
        clear = np.abs(speed - MOVING_SPEED) > .01
        np.testing.assert_array_equal(moving[clear], (speed > MOVING_SPEED)[clear])
        assert moving.any() and not moving.all()


def test_one_limb_classes_move_that_limb_only(clean_set):
    parts = clean_set.layout.parts
    for name, part in (('wave right', 'right_arm'), ('wave left', 'left_arm'),
                       ('circle right', 'right_arm'), ('circle left', 'left_arm')):
        for i in np.flatnonzero(clean_set.label == clean_set.classes.index(name)):
            assert set(np.flatnonzero(clean_set.moving[i].any((0, 1)))) <= set(parts[part])


def test_single_limb_sequences_move_one_limb_and_are_mirrored():
    made = single_limb_sequences(40, seed=1, nuisance=CLEAN)
    assert len(made) == 80 and set(made.classes) == set(list(made.layout.parts)[1:])
    for sequence, moving, label in zip(made.sequences, made.moving, made.label, strict=True):
        limb = set(made.layout.parts[made.classes[label]])
        speed = relative_speed(sequence)[0].max(0)
        still = sorted(set(range(25)) - limb)
        assert speed[still].max() < 1e-3 and speed[sorted(limb)].max() > MOVING_SPEED
        assert moving.any() and set(np.flatnonzero(moving.any((0, 1)))) <= limb
    names = np.array(made.classes)[made.label]
    for i in range(40):
        one, other = made.sequences[i], made.sequences[i + 40]
        side, limb = names[i].split('_')
        assert names[i + 40] == {'right': 'left', 'left': 'right'}[side] + '_' + limb
        np.testing.assert_array_equal(one[..., 1:], other[..., list(made.layout.flip_index), 1:])
        np.testing.assert_array_equal(one[..., 0], -other[..., list(made.layout.flip_index), 0])
        np.testing.assert_array_equal(made.moving[i][..., list(made.layout.flip_index)],
                                      made.moving[i + 40])


@pytest.mark.parametrize('size', [(1, 4, 3), (4, 0, 3), (4, 4, 1)])
def test_sizes_without_both_sides_of_a_split_are_refused(size):
    with pytest.raises(ConfigError, match='expected'):
        make_synthetic(*size)


def test_archive_holds_the_set_and_what_makes_it_again(tmp_path):
    converter = CONVERTERS.get('synthetic')()
    converter.convert('-', tmp_path / 'set', num_subjects=3, repeats=1, seed=5, noise=.02,
                      speed=[.8, 1.2])
    archive = SkeletonArchive.open(tmp_path / 'set')
    extra = dict(archive.meta['extra'])
    nuisance = Nuisance(**{key: tuple(value) if isinstance(value, list) else value
                           for key, value in extra.pop('nuisance').items()})
    assert nuisance == Nuisance(noise=.02, speed=(.8, 1.2))
    made = make_synthetic(**extra, nuisance=nuisance)
    assert len(archive) == len(made) == 3 * len(ACTIONS) and archive.classes == made.classes
    np.testing.assert_array_equal(archive.labels, made.label)
    np.testing.assert_array_equal(archive.column('subject'), made.subject)
    np.testing.assert_array_equal(archive.column('camera'), made.camera)
    for i, sequence in enumerate(made.sequences):
        np.testing.assert_array_equal(archive.sequence(i), sequence)
    for name, split in made.splits.items():
        np.testing.assert_array_equal(archive.split(name, 'test'), np.flatnonzero(split == 'test'))
