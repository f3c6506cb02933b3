"""Annotation pickles of pyskl become archives, or an error that names file, annotation and field."""
import os
import pickle

import numpy as np
import pytest

from mmactclr.datasets import verify_archive
from mmactclr.datasets.ntu_classes import NTU60_CLASSES
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures import get_layout
from mmactclr.transforms import fit_adapter

from .conftest import motion


def annotations(count=6, joints=25, axes=3, dtype=np.float16, **changes):
    """Annotations as pyskl has them; ``changes`` are made to the third."""
    made = []
    for i in range(count):
        keypoint = motion(5 + i, 1 + i % 2, i, joints, axes).astype(dtype)
        made.append(dict(frame_dir=f'S{i:03d}', label=i % 3, total_frames=5 + i, keypoint=keypoint,
                         img_shape=(1080, 1920), subject=i))
    made[2] = {key: value for key, value in {**made[2], **changes}.items() if value is not None}
    return made


SPLIT = dict(xsub_train=['S000', 'S001', 'S002'], xsub_val=['S003', 'S004'], xview_train=['S000'], xview_val=['S005'])


@pytest.fixture
def convert(tmp_path):
    """Pickles a value and converts it."""

    def run(content, protocol=4, **options):
        (tmp_path / 'x.pkl').write_bytes(pickle.dumps(content, protocol=protocol))
        return CONVERTERS.get('pyskl')().convert(tmp_path / 'x.pkl', tmp_path / 'archive', overwrite=True, **options)

    return run


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('dtype', (np.float16, np.float32, np.float64))
def test_coordinates_labels_and_splits(convert, dtype, protocol):
    made = annotations(dtype=dtype)
    archive = convert(dict(split=SPLIT, annotations=made), protocol)
    for i, each in enumerate(made):
        np.testing.assert_array_equal(archive.sequence(i), each['keypoint'].astype(np.float32))
    assert archive.layout.name == 'ntu25' and archive.meta['unit'] == 'm'
    assert archive.labels.tolist() == [0, 1, 2] * 2 and archive.classes == ('class_0', 'class_1', 'class_2')
    assert archive.column('name').tolist() == [f'S{i:03d}' for i in range(6)]
    assert archive.column('subject').tolist() == list(range(6))
    assert archive.column('img_shape_h').tolist() == [1080] * 6 and archive.column('img_shape_w')[0] == 1920
    assert archive.column('split_xsub').tolist() == ['train'] * 3 + ['test', 'test', '']
    assert archive.split('xview', 'test').tolist() == [5]
    assert verify_archive(archive.path).ok


def test_bare_list(convert):
    archive = convert(annotations())
    assert len(archive) == 6 and archive.split_names == ()


@pytest.mark.parametrize('lists, expected', [
    (dict(train=['S000'], test=['S001']), {'official': (1, 1)}),
    (dict(train1=['S000'], test1=['S001'], train2=['S001'], test2=['S000', 'S003']),
     {'split1': (1, 1), 'split2': (1, 2)}),
    (dict(a_train=['S000'], a_val=['S001'], a_test=['S002', 'S003']), {'a': (1, 2), 'a_val': (1, 1)}),
    (dict(a_b_train=np.array(['S000']), a_b_val={'S001'}), {'a_b': (1, 1)}),
    (dict(a_train=['S000', 'gone'], a_val=['S001']), {'a': (1, 1)}),
    (dict(a_train=['S000']), {}), (dict(a_train=['S000'], a_val=['gone']), {})])
def test_names_of_splits(convert, lists, expected):
    archive = convert(dict(split=lists, annotations=annotations()))
    assert {name: (part['train'], part['test']) for name, part in archive.meta['splits'].items()} == expected


def test_image_coordinates_are_pixels_and_can_be_remapped(convert):
    made = annotations(joints=17, axes=2)
    for each in made:
        each['keypoint'] = (each['keypoint'] * np.float16(40) + np.float16(300))
        each['keypoint_score'] = np.ones(each['keypoint'].shape[:3], np.float16)
        each['keypoint'][..., [5, 6], 1], each['keypoint'][..., [11, 12], 1] = 100, 200  # shoulders above hips
    archive = convert(made)
    assert archive.layout.name == 'coco17' and archive.meta['unit'] == 'pixel' and archive.num_axes == 2
    adapter = fit_adapter([archive.sequence(i) for i in range(6)], archive.layout, 'ntu25', archive.meta['unit'])
    assert adapter.up == '-y' and 'scale' in adapter.estimated


def test_names_of_classes(convert, tmp_path):
    ntu = annotations(60)
    for i, each in enumerate(ntu):
        each['label'] = i
    assert convert(ntu).classes == NTU60_CLASSES
    assert convert(ntu[:59]).classes[0] == 'class_0', '59 classes are not those of NTU RGB+D'
    names = tmp_path / 'names.txt'
    names.write_text('wave\nnod\nbow\njump\n')
    assert convert(annotations(), classes=names).classes == ('wave', 'nod', 'bow', 'jump')
    with pytest.raises(ConfigError, match='has 4 names, the labels .* go up to 59'):
        convert(ntu, classes=names)
    with pytest.raises(ConfigError, match='cannot be read'):
        convert(ntu, classes=tmp_path / 'none.txt')


def test_unlabelled(convert):
    made = annotations()
    for each in made:
        del each['label']
    archive = convert(made)
    assert archive.classes == () and archive.labels.tolist() == [-1] * 6


def test_other_joints_need_a_layout(convert):
    with pytest.raises(ConfigError, match='20 joints with 3 coordinates .* pass --layout'):
        convert(annotations(joints=20))
    with pytest.raises(ConfigError, match='17 joints with 3 coordinates'):
        convert(annotations(joints=17))
    with pytest.raises(ConfigError, match='--layout ntu25 has 25 joints'):
        convert(annotations(joints=20), layout='ntu25')
    assert convert(annotations(joints=20), layout='kinect20_nwucla').layout.name == 'kinect20_nwucla'


def test_unusable_sequences_are_left_out_by_name(convert):
    bad = motion(7, joints=25)
    bad[0, 3, 4, 1] = np.nan
    beyond_float32 = np.full((1, 7, 25, 3), 1e300)
    for keypoint, reason in ((bad, 'not finite'), (bad[:, :0], 'no frames'), (beyond_float32, 'not finite')):
        changed = dict(keypoint=keypoint, total_frames=keypoint.shape[1])
        archive = convert(dict(split=SPLIT, annotations=annotations(**changed)))
        (fault, names), = archive.meta['excluded'].items()
        assert reason in fault and names == ['S002'] and archive.split('xsub', 'train').tolist() == [0, 1]
        with pytest.raises(DataError, match=f"'S002': .*{reason}"):
            convert(annotations(**changed), strict=True)


FAULTS = {
    'no keypoint': (dict(keypoint=None), r'keypoint is None'),
    'list': (dict(keypoint=[1, 2]), r'keypoint is a list of 2'),
    'three axes': (dict(keypoint=np.zeros((7, 25, 3))), r'keypoint is float64 \(7, 25, 3\)'),
    'four coordinates': (dict(keypoint=np.zeros((1, 7, 25, 4))), r'\(1, 7, 25, 4\)'),
    'integers': (dict(keypoint=np.zeros((1, 7, 25, 3), int)), 'int64'),
    'frames': (dict(total_frames=9), 'total_frames is 9, keypoint has 7'),
    'joints': (dict(keypoint=np.ones((1, 7, 24, 3))), 'keypoint has 24 joints'),
    'coordinates': (dict(keypoint=np.ones((1, 7, 25, 2))), '2 coordinates per joint'),
    'score': (dict(keypoint_score=np.zeros((1, 6, 25))), 'keypoint_score is'),
    'text label': (dict(label='wave'), "label is 'wave'"),
    'many labels': (dict(label=[1, 2]), 'label is a list of 2'),
    'huge label': (dict(label=10 ** 30), 'label is a number beyond'),
    'large label': (dict(label=10 ** 9), 'label is 1000000000'),
}


@pytest.mark.parametrize('kind', FAULTS)
def test_faults_name_annotation_and_field(convert, kind):
    changes, message = FAULTS[kind]
    with pytest.raises(DataError, match=message) as caught:
        convert(annotations(**changes))
    assert 'S002' in str(caught.value) and '\n' not in str(caught.value)


def test_faults_of_the_file(convert, tmp_path):
    for content, message in (
            (3, 'annotations is 3'), ([], 'annotations is a list of 0'), ({}, 'annotations is None'),
            ([1], r'annotations\[0\] is 1'), (annotations(frame_dir=None), r'annotations\[2\]: frame_dir is None'),
            (annotations(frame_dir='a\nb'), 'frame_dir is'),
            (dict(annotations=annotations(), split=[1]), 'split is a list'),
            (dict(annotations=annotations(), split=dict(a=[])), "split has a list 'a'"),
            (dict(annotations=annotations(), split=dict(a_train=[1])), "split 'a_train' is a list of 1"),
            (dict(annotations=annotations(), split=dict(a_train=['S000'], a_val=['S000'])), 'in both parts'),
            (dict(annotations=annotations(), archive=dict(layout=dict(name='x'))), 'archive.layout is damaged')):
        with pytest.raises(DataError, match=message):
            convert(content)
    assert not (tmp_path / 'archive').exists() and not list(tmp_path.glob('.*'))


class Payload:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_the_file_is_run(tool, tmp_path, capsys):
    marker = tmp_path / 'marker'
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps([*annotations(), dict(keypoint=Payload(str(marker)))]))
    assert tool('convert', 'pyskl', tmp_path / 'x.pkl', tmp_path / 'a') == 1
    error = capsys.readouterr().err
    assert '.mkdir' in error and 'x.pkl' in error and error.count('\n') == 1 and not marker.exists()


def doubled(value):
    """A list of 2^45 leaves in 45 lists."""
    for _ in range(45):
        value = [value, value]
    return value


LAYOUT = get_layout('ntu25').to_dict()


@pytest.mark.parametrize('layout', [
    {1}, None, 'ntu25', [1, 2], {}, {**LAYOUT, 'name': b'x'}, {**LAYOUT, 'joints': doubled('head')},
    {**LAYOUT, 'bones': [[0, 1.5]]}, {**LAYOUT, 'bones': [[0, 10 ** 30]]}, {**LAYOUT, 'parts': doubled({})},
    {**LAYOUT, 'origin': {'a'}}])
def test_a_damaged_note_of_the_layout(convert, layout):
    with pytest.raises(DataError, match='archive.layout is damaged') as caught:
        convert(dict(annotations=annotations()[:1], archive=dict(layout=layout)))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize('fps', [0, -1, float('inf'), float('nan'), True, '30', [30], np.float32(0)])
def test_other_damaged_notes_count_as_none(convert, fps):
    about = dict(fps=fps, unit=3, source=None, licence=[1], classes=['a', doubled('b')])
    archive = convert(dict(annotations=annotations()[:1], archive=about))
    assert archive.meta['fps'] is None and archive.meta['unit'] == 'm' and archive.meta['licence'] == ''
    assert archive.classes == ('class_0',) and verify_archive(archive.path).ok
