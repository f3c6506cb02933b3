"""The flat npz converter, on small files and on the real ones where they are."""
import argparse
import inspect
import io
import pickle

import numpy as np
import pytest

from mmactclr.datasets import SkeletonArchive, verify_archive
from mmactclr.datasets.converters import FlatConverter
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import get_layout

from .conftest import LAYOUT, LENGTHS, flat_fields, motion
from .fuzzing import mutations

# name: (options, sequences, classes, layout, {split: (train, test)}), from the data's description
REAL = {
    'utd_mhad': ({}, 861, 27, 'kinect20_utdmhad', {'xsub': (431, 430)}),
    'nw_ucla': ({}, 1484, 10, 'kinect20_nwucla',
                {'xview': (1020, 464), 'xview_clean': (1020, 369)}),
    'ui_prmd': (dict(where=['is_correct=1']), 1000, 10, 'uiprmd22', {'xsub': (500, 500)}),
    'bandai_namco2': ({}, 2902, 10, 'bandai21', {}),
    'hdm05_11': (dict(metres_per_unit=.0254), 287, 11, 'hdm31', {'xsub': (188, 99)}),
}


@pytest.mark.parametrize('name', REAL)
def test_real_data(name, real_data_dir, tmp_path):
    options, sequences, classes, layout, splits = REAL[name]
    source = real_data_dir / f'{name}.npz'
    if not source.is_file():
        pytest.skip(f'no real data: {source} does not exist')
    archive = FlatConverter().convert(source, tmp_path / name, **options)
    assert (len(archive), len(archive.classes), archive.layout.name) == (sequences, classes, layout)
    assert archive.split_names == tuple(splits)
    for split, (train, test) in splits.items():
        assert (len(archive.split(split, 'train')), len(archive.split(split, 'test'))) == (
            train, test)
    # People, in metres: from the highest to the lowest joint 0.3 (sitting, crouching) to 3.
    heights = [np.median(np.ptp(archive.sequence(i)[0, :, :, 1], axis=1))
               for i in range(0, len(archive), 50)]
    assert .3 < np.median(heights) < 3 and archive.meta['unit'] == 'm'
    report = verify_archive(archive.path)
    assert report.ok, report
    # verify compares bytes and knows nothing of duplicate_of
    assert {split: len(pairs) for split, pairs in report.copies.items()} == (
        {'xview': 95} if name == 'nw_ucla' else {})


def test_everything_comes_over(flat_file, tmp_path):
    archive = FlatConverter().convert(flat_file(), tmp_path / 'a')
    assert archive.layout == LAYOUT and archive.classes == ('wave', 'nod', 'bow')
    assert archive.meta['fps'] == 30 and archive.meta['unit'] == 'm'
    assert archive.meta['source'] == 'flat.npz'
    assert [archive.frames(i) for i in range(6)] == list(LENGTHS)
    np.testing.assert_array_equal(archive.column('subject'), range(6))
    for i, frames in enumerate(LENGTHS):
        np.testing.assert_array_equal(archive.sequence(i)[0], motion(frames, seed=i)[0])


def test_persons_after_the_last_one_there_are_dropped(flat_file, tmp_path):
    keypoint = np.concatenate([flat_fields()['keypoint']] * 3, 1)
    keypoint[:, 2] = 0
    keypoint[LENGTHS[0]:, 1] = 0
    archive = FlatConverter().convert(flat_file(keypoint=keypoint), tmp_path / 'a')
    assert [archive.persons(i) for i in range(6)] == [2, 1, 1, 1, 1, 1]
    np.testing.assert_array_equal(archive.sequence(0)[1], keypoint[:LENGTHS[0], 1])


@pytest.mark.parametrize(('text', 'scale'), [
    ('metres, Kinect', 1), ('Meters', 1), ('centimetres, Y up', .01), ('cm', .01),
    ('joint positions in mm', .001), ('millimeter', .001)])
def test_units_become_metres_and_the_text_is_kept(flat_file, tmp_path, text, scale):
    archive = FlatConverter().convert(flat_file(units=np.array(text)), tmp_path / 'a')
    np.testing.assert_allclose(archive.sequence(0)[0], motion(12)[0] * scale, rtol=1e-6)
    assert archive.meta['unit'] == 'm' and archive.meta['extra']['unit_text'] == text


def test_a_unit_nobody_knows_is_left_alone_or_given(flat_file, tmp_path):
    source = flat_file(units=np.array('ASF length units, 120 Hz'))
    kept = FlatConverter().convert(source, tmp_path / 'a')
    assert kept.meta['unit'] == 'unknown'
    np.testing.assert_array_equal(kept.sequence(0)[0], motion(12)[0])
    given = FlatConverter().convert(source, tmp_path / 'b', metres_per_unit=2)
    assert given.meta['unit'] == 'm'
    np.testing.assert_array_equal(given.sequence(0)[0], motion(12)[0] * 2)


def test_bare_minimum(flat_file, tmp_path):
    bare = dict.fromkeys(('label', 'subject', 'class_names', 'name', 'joint_names', 'edges', 'fps',
                          'units', 'split_xsub'))
    archive = FlatConverter().convert(flat_file(**bare), tmp_path / 'a', layout=LAYOUT.name,
                                      metres_per_unit=1)
    assert archive.classes == () and set(archive.labels) == {-1} and archive.split_names == ()
    assert archive.meta['fps'] is None


def test_copies_give_a_clean_split_and_keep_their_original_by_name(flat_file, tmp_path):
    duplicate_of = np.array([-1, 0, 1, -1, -1, 3])
    source = flat_file(duplicate_of=duplicate_of)
    archive = FlatConverter().convert(source, tmp_path / 'a')
    # 1 tests a copy of a training sequence; 5 is one of 3, which is tested as well
    assert archive.split('xsub', 'test').tolist() == [1, 3, 5]
    assert archive.split_names == ('xsub', 'xsub_clean')
    assert archive.column('split_xsub_clean').tolist() == [
        'train', '', 'train', 'test', 'train', 'test']
    assert archive.column('duplicate_of').tolist() == ['', 'take0', 'take1', '', '', 'take3']


@pytest.mark.parametrize(('where', 'kept'), [
    (['label=1'], [1, 4]), (['subject=3.0'], [3]), (['name=take5'], [5]),
    (['label=1', 'subject=4'], [4]), (['is_correct=1'], [0, 2])])
def test_where(flat_file, tmp_path, where, kept):
    source = flat_file(is_correct=np.array([1, 0, 1, 0, 0, 0], bool))
    archive = FlatConverter().convert(source, tmp_path / 'a', where=where)
    assert archive.column('subject').tolist() == kept
    assert archive.column('split_xsub').tolist() == [('train', 'test')[i % 2] for i in kept]
    np.testing.assert_array_equal(archive.sequence(0)[0], motion(LENGTHS[kept[0]], seed=kept[0])[0])


def test_a_layout_of_its_own(flat_file, tmp_path):
    joints = [f'j{i}' for i in range(20)]
    source = flat_file(joint_names=np.array(joints))
    given = dict(centre='j1', shoulders=['j4', 'j8'], hips=['j12', 'j16'],
                 flip_pairs=[f'j{i},j{i + 4}' for i in (4, 5, 6, 7, 12, 13, 14, 15)])
    for key in given:
        rest = {other: value for other, value in given.items() if other != key}
        with pytest.raises(ConfigError, match=key):
            FlatConverter().convert(source, tmp_path / 'a', **rest)
    archive = FlatConverter().convert(source, tmp_path / 'a', **given)
    assert archive.layout.name == 'flat' and archive.layout.joints == tuple(joints)
    for derived in ('bones', 'parts', 'flip_pairs', 'shoulders', 'hips', 'centre'):
        assert getattr(archive.layout, derived) == getattr(LAYOUT, derived), derived


def test_the_same_joints_hung_together_otherwise_are_not_the_built_in_layout(flat_file, tmp_path):
    edges = np.array(LAYOUT.bones)
    hand = LAYOUT.joints.index('left_hand')
    edges[edges[:, 0] == hand, 1] = LAYOUT.joints.index('left_elbow')
    archive = FlatConverter().convert(flat_file(edges=edges), tmp_path / 'a')
    assert archive.layout.name == 'flat' and archive.layout.joints == LAYOUT.joints
    assert archive.layout.joints[archive.layout.parents[hand]] == 'left_elbow'


def test_nan_and_bad_labels_are_left_out_with_their_split(flat_file, tmp_path):
    fields = flat_fields()
    fields['keypoint'][0, 0, 0, 0] = np.nan
    source = flat_file(keypoint=fields['keypoint'], label=np.array([0, 3, 0, 1, 2, 0]))
    archive = FlatConverter().convert(source, tmp_path / 'a')
    assert archive.meta['excluded'] == {
        'coordinates that are not finite': ['take0'], 'label outside 0 to 2': ['take1']}
    assert archive.column('name')[archive.split('xsub', 'train')].tolist() == ['take2', 'take4']
    with pytest.raises(DataError, match="'take0': coordinates that are not finite"):
        FlatConverter().convert(source, tmp_path / 'b', strict=True)


TEXT = np.array(['x'] * 6)
BAD = {
    'no keypoint': (dict(keypoint=None), {}, "no field \\['keypoint'\\]"),
    'no offsets': (dict(offsets=None), {}, "no field \\['offsets'\\]"),
    'keypoint without persons': (dict(keypoint=motion(64)[0]), {}, 'keypoint is float32'),
    'offsets beyond': (dict(offsets=np.array([0, 10, 99])), {}, 'offsets must .* 64 frames'),
    'offsets fall': (dict(offsets=np.array([0, 30, 20, 64])), {}, 'offsets must'),
    'offsets empty': (dict(offsets=np.array([], int)), {}, 'offsets must'),
    'labels as text': (dict(label=TEXT), {}, 'label is <U1'),
    'labels too few': (dict(label=np.zeros(5, int)), {}, r'label has shape \(5,\)'),
    'split too short': (dict(split_xsub=TEXT[:3]), {}, r'split_xsub has shape \(3,\)'),
    'split of other words': (dict(split_xsub=TEXT), {}, "holds \\['x'\\]"),
    'names too few': (dict(joint_names=np.array(['a', 'b'])), {}, '2 joint_names'),
    'no joints': (dict(joint_names=None), {}, 'pass --layout'),
    'a cycle': (dict(edges=np.array([*LAYOUT.bones, (0, 5)])), {}, 'tree'),
    'wrong layout': ({}, dict(layout='ntu25'), 'ntu25 has 25 joints, .* has 20'),
    'unknown layout': ({}, dict(layout='ntu52'), "'ntu52' is not known"),
    'layout and centre': ({}, dict(layout=LAYOUT.name, centre='head'), 'leave one out'),
    'unknown centre': ({}, dict(centre='belly'), "'belly'"),
    'where nonsense': ({}, dict(where=['label']), 'expected COLUMN=VALUE'),
    'where unknown column': ({}, dict(where=['mood=1']), 'label, name, subject'),
    'where text for number': ({}, dict(where=['label=wave']), 'holds numbers'),
    'where nothing': ({}, dict(where=['label=9']), r'holds \[0, 1, 2\]'),
    'where nothing fits all': ({}, dict(where=['label=0', 'subject=1']), 'fits all'),
    'copies of nothing': (dict(duplicate_of=np.full(6, 7)), {}, 'duplicate_of holds 7 to 7'),
    'negative scale': ({}, dict(metres_per_unit=-1.), 'positive'),
    'fps': (dict(fps=np.array([1, 2])), {}, 'fps is'),
    'nothing usable': (dict(keypoint=np.zeros((64, 1, 20, 3), np.float32)), {}, 'none of 6'),
    'pickled names': (dict(name=np.array([{}] * 6, dtype=object)), {}, 'without pickles'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused_and_nothing_is_written(case, flat_file, tmp_path):
    changes, options, message = BAD[case]
    source = flat_file(**changes)
    with pytest.raises((DataError, ConfigError), match=message):
        FlatConverter().convert(source, tmp_path / 'a', **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ['flat.npz']


@pytest.mark.parametrize('share', [0, .01, .5, .9, .999])
def test_a_truncated_file_is_refused(flat_file, tmp_path, share):
    source = flat_file()
    content = source.read_bytes()
    source.write_bytes(content[:int(len(content) * share)])
    with pytest.raises(DataError, match='flat.npz cannot be read'):
        FlatConverter().convert(source, tmp_path / 'a')


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / 'array.npy', np.zeros(3))
    (tmp_path / 'text.npz').write_text('hello')
    for name in ('array.npy', 'text.npz'):
        with pytest.raises(DataError, match=f'{name} cannot be read'):
            FlatConverter().convert(tmp_path / name, tmp_path / 'a')
    with pytest.raises(DataError, match='does not exist'):
        FlatConverter().convert(tmp_path / 'nothing.npz', tmp_path / 'a')


@pytest.mark.parametrize('name', sorted(CONVERTERS.module_dict))
def test_every_converter_takes_its_own_arguments(name):
    """The command line calls ``convert`` with every option of ``add_arguments``."""

    parser = argparse.ArgumentParser()
    CONVERTERS.get(name)().add_arguments(parser)
    options = vars(parser.parse_args([]))
    signature = inspect.signature(CONVERTERS.get(name)().convert)
    signature.bind('src', 'dst', overwrite=False, strict=False, **options)
    assert inspect.getdoc(CONVERTERS.get(name)), 'the help text'


def test_an_archive_opens_with_its_own_layout_unregistered(flat_file, tmp_path):
    edges = np.array(LAYOUT.bones)
    edges[edges[:, 0] == 7, 1] = 5
    path = FlatConverter().convert(flat_file(edges=edges), tmp_path / 'a').path
    with pytest.raises(ConfigError):
        get_layout('flat')
    assert SkeletonArchive.open(path).layout.parents[7] == 5


def test_what_is_no_npz_is_never_said_to_be_loadable_if_trusted(tmp_path):
    for content in (b'# notes', pickle.dumps([1]), b''):
        (tmp_path / 'a.npz').write_bytes(content)
        with pytest.raises(DataError, match='a.npz cannot be read as npz') as error:
            FlatConverter().convert(tmp_path / 'a.npz', tmp_path / 'a')
        assert 'trust' not in str(error.value) and 'allow_pickle' not in str(error.value)


def test_damaged_files_are_refused_whatever_numpy_makes_of_them(tmp_path):
    """Bytes of a flat npz changed at random, array headers (which numpy parses as Python) among them."""
    whole = io.BytesIO()
    np.savez(whole, **flat_fields())
    refused = 0
    for i, data in enumerate(mutations(whole.getvalue(), 600)):
        file = tmp_path / 'a.npz'
        file.write_bytes(data)
        try:
            FlatConverter().convert(file, tmp_path / 'a', overwrite=i > 0)
        except (DataError, ConfigError) as error:
            refused += 1
            assert 'a.npz' in str(error) or 'none of' in str(error) or "sequence '" in str(error), error
        assert {path.name for path in tmp_path.iterdir()} <= {'a.npz', 'a'}
    assert refused > 200
