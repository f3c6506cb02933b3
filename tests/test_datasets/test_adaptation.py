"""Recordings of other joints, units and axes become those that a model was trained on."""
import hashlib
import json

import numpy as np
import pytest

from mmactclr.datasets import ArchiveWriter, SkeletonArchive, SkeletonDataset
from mmactclr.datasets.synthetic import make_synthetic
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures import Layout, filled_joints, get_layout, list_layouts, stand_ins
from mmactclr.transforms import SkeletonAdapter, fit_adapter, prepare
from mmactclr.transforms.adaptation import TORSO

NTU = get_layout('ntu25')
# what a camera or a capture system calls x, y, z, as (axis, sign) of ours; all right-handed
AXES = {'+y': ((0, 1), (1, 1), (2, 1)), '-y': ((0, 1), (1, -1), (2, -1)), '+z': ((0, 1), (2, -1), (1, 1)),
        '-z': ((0, 1), (2, 1), (1, -1)), '+x': ((1, 1), (0, -1), (2, 1)), '-x': ((1, -1), (0, 1), (2, 1))}


@pytest.fixture(scope='module')
def motion() -> list[np.ndarray]:
    """Made-up recordings on the joints of NTU, metres, y up."""
    return make_synthetic(num_subjects=3, repeats=1, num_cameras=2, seed=5).sequences[::7]


def seen_as(sequence: np.ndarray, axes, scale: float = 1.0) -> np.ndarray:
    return np.stack([sign * sequence[..., axis] for axis, sign in axes], -1).astype(np.float32) / np.float32(scale)


def prepared(adapter: SkeletonAdapter, sequences) -> np.ndarray:
    return prepare([adapter(sequence) for sequence in sequences], NTU, 20)[0].numpy()


@pytest.mark.parametrize('axes', AXES)
@pytest.mark.parametrize('unit, scale', [('m', 1), ('cm', .01), ('mm', .001), ('Inches', .0254)])
def test_units_and_axes_do_not_matter(motion, axes, unit, scale):
    expected = prepare(motion, NTU, 20)[0].numpy()
    seen = [seen_as(sequence, AXES[axes], scale) for sequence in motion]
    adapter = fit_adapter(seen, NTU, NTU, unit)
    assert (adapter.up, adapter.mirrored, adapter.scale) == (axes, False, pytest.approx(scale))
    np.testing.assert_allclose(prepared(adapter, seen), expected, atol=2e-4)
    assert np.linalg.det(adapter.rotation()) == pytest.approx(1)


@pytest.mark.parametrize('axes', AXES)
def test_left_handed_coordinates_are_told_by_the_feet(motion, axes):
    expected = prepare(motion, NTU, 20)[0].numpy()
    seen = [seen_as(sequence, AXES[axes]) * np.float32([-1, 1, 1]) for sequence in motion]
    adapter = fit_adapter(seen, NTU, NTU)
    assert adapter.mirrored and np.linalg.det(adapter.rotation()) == pytest.approx(-1)
    np.testing.assert_allclose(prepared(adapter, seen), expected, atol=2e-4)
    assert not fit_adapter(seen, NTU, NTU, mirrored=False).mirrored


def test_an_unknown_unit_gives_a_torso_of_the_usual_length(motion):
    seen = [sequence * 371 for sequence in motion]
    adapter = fit_adapter(seen, NTU, NTU, 'pixels')
    frames = np.concatenate([adapter(sequence).reshape(-1, 25, 3) for sequence in seen])
    frames = frames[frames.any((1, 2))]
    torso = frames[:, list(NTU.shoulders)].mean(1) - frames[:, list(NTU.hips)].mean(1)
    assert np.median(np.linalg.norm(torso, axis=1)) == pytest.approx(TORSO, rel=1e-4)
    assert f'median torso is {TORSO} m' in adapter.summary()
    assert fit_adapter(seen, NTU, NTU, 'pixels', metres_per_unit=.5).scale == .5


@pytest.mark.parametrize('name', list_layouts())
def test_every_layout_reaches_every_model_by_name(name):
    layout = get_layout(name)
    rng = np.random.default_rng(0)
    sequence = rng.normal(size=(2, 6, layout.num_joints, 3)).astype(np.float32)
    sequence[:, :, list(layout.shoulders), 1] += 9
    sequence[1] = 0
    adapter = fit_adapter([sequence], layout, NTU)
    out = adapter(sequence)
    assert out.shape == (2, 6, 25, 3) and out.dtype == np.float32 and not out[1].any()
    stand_in = filled_joints(layout, NTU)
    for joint, sources in enumerate(stand_ins(layout, NTU)):
        mean = np.mean([sequence[0, :, source] for source in sources], 0)
        np.testing.assert_allclose(out[0, :, joint], mean @ adapter.rotation(), atol=1e-5)
        if NTU.joints[joint] in stand_in:
            assert stand_in[NTU.joints[joint]] == tuple(layout.joints[source] for source in sources)
    assert all(joint in adapter.summary() for joint in stand_in)


def test_layouts_may_be_named(motion):
    expected = fit_adapter(motion, NTU, get_layout('coco17'))
    assert fit_adapter(motion, 'ntu25', 'coco17').describe() == expected.describe()


def test_what_is_missing_is_said():
    assert filled_joints('kinect20_utdmhad', 'ntu25') == {
        'neck': ('shoulder_center',), 'left_hand_tip': ('left_hand',), 'left_thumb': ('left_hand',),
        'right_hand_tip': ('right_hand',), 'right_thumb': ('right_hand',)}
    assert filled_joints('ntu25', 'kinect20_utdmhad') == {} == filled_joints('ntu25', 'ntu25')


@pytest.mark.parametrize('name', ['coco17', 'mediapipe33'])
def test_pose_estimators_get_a_spine_between_shoulders_and_hips(name):
    layout = get_layout(name)
    shoulders, hips = ({layout.joints[i] for i in pair} for pair in (layout.shoulders, layout.hips))
    filled = {joint: set(sources) for joint, sources in filled_joints(layout, NTU).items()}
    assert filled['spine_base'] == hips and filled['spine_mid'] == shoulders | hips
    assert filled['spine_shoulder'] == filled['neck'] == shoulders and filled['head'] == {'nose'}
    assert 'spine_base from the middle of left_hip, right_hip' in fit_adapter(
        [np.random.default_rng(0).normal(size=(1, 5, layout.num_joints, 3))], layout, NTU).summary()


def test_flat_data_get_a_depth_of_zero():
    layout = get_layout('coco17')
    rng = np.random.default_rng(0)
    pixels = rng.normal(300, 5, (1, 9, 17, 2)).astype(np.float32)
    pixels[:, :, list(layout.hips), 1] += 80  # image coordinates: down is larger
    pixels[:, :, layout.shoulders[0], 0] += 40  # a person who faces the camera has the left side on the right
    adapter = fit_adapter([pixels], layout, NTU, 'pixels')
    out = adapter(pixels)
    assert adapter.up == '-y' and not adapter.mirrored and (out[..., 2] == 0).all()
    assert (out[0, :, NTU.shoulders[0], 1] > out[0, :, NTU.hips[0], 1]).all()
    # the right side at larger x, as in the camera coordinates that public weights were trained on
    assert (out[0, :, NTU.shoulders[1], 0] > out[0, :, NTU.shoulders[0], 0]).all()


@pytest.mark.parametrize('name', list_layouts())
def test_the_same_motion_comes_out_alike_from_any_set_up(motion, name):
    layout = get_layout(name)
    sequences = [SkeletonAdapter(NTU, layout)(sequence) for sequence in motion]
    seen = [seen_as(sequence, AXES['+z'], .01) for sequence in sequences]
    here, there = fit_adapter(sequences, layout, NTU, 'm'), fit_adapter(seen, layout, NTU, 'cm')
    assert (there.up, there.mirrored) == ('+z', False)
    np.testing.assert_allclose(prepared(there, seen), prepared(here, sequences), atol=2e-4)


def test_what_a_pose_estimator_did_not_find_tells_nothing(motion):
    broken = [np.repeat(sequence, 3, 1) for sequence in motion]
    for sequence in broken:
        sequence[:, 1::3] += [9, 0, 0]
        sequence[:, 1::3, [*NTU.hips]] = 0
        sequence[:, 2::3] = np.nan
    whole = fit_adapter(motion, NTU, NTU, 'pixels')
    found = fit_adapter(broken, NTU, NTU, 'pixels')
    assert (found.up, found.mirrored, found.scale) == ('+y', False, pytest.approx(whole.scale))
    # the second person alone tells as much
    alone = [np.concatenate([np.zeros_like(sequence[:1]), sequence[:1]]) for sequence in motion]
    assert fit_adapter(alone, NTU, NTU, 'pixels').up == '+y'


def test_what_looks_wrong_is_said(motion):
    assert fit_adapter(motion, NTU, NTU).doubts == ()
    wrong_unit, = fit_adapter([sequence * 100 for sequence in motion], NTU, NTU, 'm').doubts
    assert 'with 1 metres per unit the median torso is' in wrong_unit and 'set metres_per_unit' in wrong_unit
    wrong_up, = fit_adapter(motion, NTU, NTU, up='-y').doubts
    assert wrong_up.startswith('-y is taken as up, though torsos point there with -9')
    # half of them upside down: no axis is up
    tumbled = [*motion, *(-sequence for sequence in motion)]
    assert 'set up if that is wrong' in fit_adapter(tumbled, NTU, NTU).doubts[0]


def test_flat_data_of_the_models_joints_get_a_depth_too():
    layout = get_layout('coco17')
    flat = np.random.default_rng(0).normal(0, .1, (1, 9, 17, 2)).astype(np.float32)
    flat[:, :, [*layout.hips], 1] -= .5
    adapter = fit_adapter([flat], layout, layout)
    assert adapter.up == '+y' and not adapter.changes_nothing
    np.testing.assert_array_equal(adapter(flat), np.concatenate([flat, np.zeros_like(flat[..., :1])], -1))
    with pytest.raises(ConfigError, match=r"up is '\+z', expected one of .*-y for 2 coordinates"):
        fit_adapter([flat], layout, layout, up='+z')


def test_recordings_of_another_shape_are_refused(motion):
    message = r"shape .*, expected \(persons, frames, 25, 3\) in layout 'ntu25'"
    with pytest.raises(DataError, match=message):
        fit_adapter([motion[0], motion[0][..., :2]], NTU, NTU)
    with pytest.raises(DataError, match=message):
        fit_adapter(motion, NTU, NTU)(motion[0][:, :, :20])
    with pytest.raises(DataError, match='a recording has shape'):
        fit_adapter([motion[0][0]], NTU, NTU)


@pytest.mark.parametrize('options, message', [
    (dict(up='y'), "up is 'y', expected one of"), (dict(metres_per_unit=0), 'metres_per_unit is 0')])
def test_options_out_of_range_are_named(motion, options, message):
    with pytest.raises(ConfigError, match=message):
        fit_adapter(motion, NTU, NTU, **options)


def test_recordings_of_nobody_tell_nothing():
    nobody = [np.zeros((1, 4, 25, 3), np.float32)]
    with pytest.raises(DataError, match='nobody is seen'):
        fit_adapter(nobody, NTU, NTU)
    # where nothing is to be told, nobody is needed: a camera may see no more than heads and arms
    assert fit_adapter(nobody, NTU, NTU, up='+z', metres_per_unit=.01).up == '+z'
    with pytest.raises(DataError, match='no recordings'):
        fit_adapter([], NTU, NTU)
    point = [np.ones((1, 4, 25, 3), np.float32)]
    with pytest.raises(DataError, match='give metres_per_unit'):
        fit_adapter(point, NTU, NTU, 'furlongs')


# through the dataset

@pytest.fixture
def said(monkeypatch) -> list[str]:
    """Lines that the dataset logs."""
    lines: list[str] = []
    monkeypatch.setattr('mmactclr.datasets.skeleton_dataset.print_log', lambda text, **_: lines.append(text))
    return lines


def test_a_dataset_of_other_joints_serves_a_model(tiny_archive, said):
    dataset = SkeletonDataset(tiny_archive, layout='ntu25', num_frames=12, remap=True, up='+y')
    archive, source = SkeletonArchive.open(tiny_archive), get_layout('kinect20_utdmhad')
    adapter = SkeletonAdapter(source, NTU)
    expected, mask = prepare([adapter(archive.sequence(i)) for i in dataset.index], NTU, 12)
    batch = dataset.__getitems__(range(len(dataset)))
    np.testing.assert_array_equal(batch['inputs'], expected)
    np.testing.assert_array_equal(batch['mask'], mask)
    assert dataset.metainfo['layout'] == NTU
    assert any('kinect20_utdmhad -> ntu25; missing joints filled: neck from shoulder_center' in line for line in said)


def test_the_cache_knows_how_recordings_were_converted(tiny_archive):
    def folder(**options):
        return SkeletonDataset(tiny_archive, num_frames=12, **options)._prepared.folder

    plain = folder()
    found = {plain, folder(layout='ntu25', remap=True, up='+y'), folder(layout='ntu25', remap=True, up='-z'),
             folder(layout='ntu25', remap=True, up='+y', metres_per_unit=.01),
             folder(layout='kinect20_nwucla', remap=True, up='+y')}
    assert len(found) == 5
    # nothing to convert: the same numbers, in the same place
    assert folder(layout='kinect20_utdmhad', remap=True, up='+y') == plain


def test_without_remapping_the_cache_is_found_where_it_always_was(tiny_archive):
    archive = SkeletonArchive.open(tiny_archive)
    described = dict(
        version=1, archive=archive.checksum, layout=archive.layout.to_dict(), num_frames=12, max_persons=2,
        preparation=[dict(type='Centre'), dict(type='ResizeFrames', num_frames=12), dict(type='AlignShoulders')])
    text = json.dumps(described, indent=1, sort_keys=True)
    dataset = SkeletonDataset(tiny_archive, num_frames=12)
    assert dataset._prepared.folder.name == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_layout_of_the_archives_own_is_known_by_its_name(tmp_path):
    own = Layout(**{**get_layout('kinect20_utdmhad').to_dict(), 'name': 'mine'})
    rest = np.random.default_rng(0).normal(0, .1, (1, 5, 20, 3)).astype(np.float32)
    rest[:, :, [*own.shoulders], 1] += .5
    with ArchiveWriter(tmp_path / 'own', own) as writer:
        writer.add(rest)
        writer.finish()
    options = dict(split=None, layout='mine', num_frames=5)
    remapped = SkeletonDataset(tmp_path / 'own', remap=True, **options)
    assert remapped._prepared.folder == SkeletonDataset(tmp_path / 'own', **options)._prepared.folder


def test_doubts_reach_the_log(tiny_archive, said):
    SkeletonDataset(tiny_archive, layout='ntu25', num_frames=12, remap=True, up='+y', metres_per_unit=9)
    assert any('with 9 metres per unit the median torso is' in line for line in said)


def test_units_and_missing_depth_of_an_archive_are_said(tmp_path, said):
    layout = get_layout('coco17')
    rng = np.random.default_rng(0)
    with ArchiveWriter(tmp_path / 'flat', layout, unit='unknown') as writer:
        for _ in range(3):
            writer.add(rng.normal(300, 50, (1, 9, 17, 2)).astype(np.float32))
        writer.finish()
    dataset = SkeletonDataset(tmp_path / 'flat', split=None, layout='ntu25', num_frames=12, remap=True)
    assert dataset.prepared.shape == (3, 2, 12, 25, 3)
    assert any('scaled by' in line for line in said) and any('no depth: it is zero' in line for line in said)


@pytest.mark.parametrize('options, message', [
    (dict(layout='ntu25'), 'set remap=True'), (dict(remap=True), 'needs the layout to convert to'),
    (dict(up='+y'), 'are for remap=True'), (dict(metres_per_unit=.1), 'are for remap=True')])
def test_what_does_not_go_together_is_named(tiny_archive, options, message):
    with pytest.raises(ConfigError, match=message):
        SkeletonDataset(tiny_archive, **options)


# real recordings of five set-ups

@pytest.mark.parametrize('name', ['utd_mhad', 'nw_ucla', 'ui_prmd', 'bandai_namco2', 'hdm05_11'])
def test_real_recordings_stand_upright_in_metres(name, real_data_dir, tmp_path):
    archive = CONVERTERS.build(dict(type='flat')).convert(real_data_dir / f'{name}.npz', tmp_path / name)
    sequences = [archive.sequence(i) for i in range(0, len(archive), 40)]
    adapter = fit_adapter(sequences, archive.layout, NTU, archive.meta['unit'])
    assert (adapter.up, adapter.mirrored, adapter.doubts) == ('+y', False, ())
    # the same people, seen by a left-handed camera that looks down and counts centimetres
    seen = [seen_as(sequence, AXES['-z'], .01) * np.float32([-1, 1, 1]) for sequence in sequences]
    other = fit_adapter(seen, archive.layout, NTU, '?', metres_per_unit=adapter.scale * .01)
    assert (other.up, other.mirrored) == ('-z', True)
    np.testing.assert_allclose(prepared(other, seen), prepared(adapter, sequences), atol=1e-3)
    frames = np.concatenate([adapter(sequence)[0] for sequence in sequences])
    frames = frames[frames.any((1, 2))]

    def bone(a, b):
        return np.median(np.linalg.norm(frames[:, NTU.joints.index(a)] - frames[:, NTU.joints.index(b)], axis=1))

    for side in ('left', 'right'):
        assert .15 < bone(f'{side}_shoulder', f'{side}_elbow') < .45
        assert .25 < bone(f'{side}_hip', f'{side}_knee') < .6
        assert .25 < bone(f'{side}_knee', f'{side}_ankle') < .6
    head, base = (frames[:, NTU.joints.index(joint), 1] for joint in ('head', 'spine_base'))
    assert np.median(head - base) > .3
