"""Every exporter: what a format can hold comes back to the last bit; nothing is replaced unasked."""
import csv
import inspect
import os
import pickle
import pickletools
import subprocess
import sys
import tracemalloc
from argparse import ArgumentParser

import numpy as np
import pytest

import mmactclr.datasets.exporters  # noqa: F401  (registers the formats)
from mmactclr.datasets import ArchiveWriter, SkeletonArchive, verify_archive
from mmactclr.datasets.archive_format import REQUIRED_COLUMNS
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS, EXPORTERS
from mmactclr.structures import get_layout, list_layouts
from mmactclr.structures.layouts import Layout

from .conftest import motion

FORMATS = sorted(EXPORTERS.module_dict)
# what a format has no place for
LOST = {'pyskl': set(), 'flat': set(), 'crosclr': {'classes', 'columns', 'about', 'order', 'layout'},
        # natural order of names and of classes; a table of text says nothing of the types of its numbers
        'csv': {'about', 'order', 'classes order', 'types'}}


def round_trip(name, archive, tmp_path, **options):
    """The archive after a detour through a format."""
    written = EXPORTERS.get(name)().export(archive.path, tmp_path / f'{name}.file')
    if name == 'csv':
        options |= dict(labels=written / 'labels.csv', fps=archive.meta['fps'])
        options |= dict(unit='m') if archive.meta['unit'] == 'm' else {}
        known = archive.layout.name in list_layouts()
        assert (written / 'skeleton.json').exists() != known
        options |= dict(layout=archive.layout.name) if known else dict(skeleton=written / 'skeleton.json')
    return CONVERTERS.get(name)().convert(written, tmp_path / f'{name}.back', **options)


def assert_same(back: SkeletonArchive, archive: SkeletonArchive, lost: set[str]):
    """Equal bits, but for what the format cannot hold."""
    assert len(back) == len(archive) and verify_archive(back.path, allow_copies=True).ok
    places = {name: i for i, name in enumerate(back.column('name').tolist())}
    order = [places[name] for name in archive.column('name').tolist()]
    assert 'order' in lost or order == list(range(len(archive)))
    for i, place in enumerate(order):
        ours = back.sequence(place)
        assert ours.shape == archive.sequence(i).shape and ours.tobytes() == archive.sequence(i).tobytes(), i
    splits = {f'split_{name}' for name in archive.split_names}
    assert {f'split_{name}' for name in back.split_names} == splits
    if 'columns' not in lost:
        assert set(back.columns) == set(archive.columns)
    for column in set(archive.columns) & set(back.columns) - {'offset'}:
        theirs, ours = back.column(column)[order], archive.column(column)
        if column == 'label' and 'classes order' in lost and archive.classes:
            theirs, ours = np.array(back.classes)[theirs], np.array(archive.classes)[ours]
        if 'types' in lost:
            theirs = theirs == 'True' if ours.dtype.kind == 'b' else theirs.astype(ours.dtype)
        np.testing.assert_array_equal(theirs, ours, err_msg=column)
        assert theirs.dtype == ours.dtype, column
    assert set(back.columns) >= {*REQUIRED_COLUMNS, *splits}
    if 'classes' not in lost:
        assert back.classes == archive.classes if 'classes order' not in lost else (
            set(back.classes) == set(archive.classes))
    if 'about' not in lost:
        for key in ('fps', 'unit', 'source', 'licence'):
            assert back.meta[key] == archive.meta[key], key
    if 'layout' not in lost:
        assert back.layout == archive.layout


def two_persons(path, layout='ntu25', axes=3, unit='m', **columns):
    """Persons who come and go, one joint that is not seen, sequences of one frame, sequences in neither part."""
    layout = get_layout(layout)
    about = dict(classes=['wave', 'nod', 'h\u00fcpfen'], fps=29.5, unit=unit, source='made up', licence='none')
    with ArchiveWriter(path, layout, **about) as writer:
        for i in range(8):
            keypoint = motion(1 + 3 * (i % 4), 1 + i % 2, i, layout.num_joints, axes)
            if keypoint.shape[1] > 6:
                keypoint[0, :2] = 0
                keypoint[-1, 3:5] = 0
                keypoint[0, 5, 3] = 0
            keypoint[0, -1, 0] = np.float32(-1e-42), *keypoint[0, -1, 0, 1:]  # a denormal number
            writer.add(keypoint, label=i % 3, name=f'take {i}', subject=np.int16(i), ratio=i / 3, left=bool(i % 2),
                       mood='happy' if i % 2 else '', **{key: value for key, value in columns.items()})
        return writer.finish({'xsub': ['train', 'test', '', 'train'] * 2, 'official': ['test', 'train'] * 4})


@pytest.mark.parametrize('name', FORMATS)
def test_round_trip_of_two_persons_with_gaps(name, tmp_path):
    archive = two_persons(tmp_path / 'archive')
    assert_same(round_trip(name, archive, tmp_path), archive, LOST[name])


@pytest.mark.parametrize('name', FORMATS)
@pytest.mark.parametrize('data', ('utd_mhad', 'nw_ucla'))
def test_round_trip_of_real_data(name, data, tmp_path, real_data_dir):
    archive = CONVERTERS.get('flat')().convert(real_data_dir / f'{data}.npz', tmp_path / 'archive')
    if name == 'crosclr':
        with pytest.raises(ConfigError, match='pass --layout'):
            round_trip(name, archive, tmp_path)
        (tmp_path / 'names.txt').write_text('\n'.join(archive.classes))
        back = CONVERTERS.get(name)().convert(tmp_path / f'{name}.file', tmp_path / 'back', overwrite=True,
                                              layout=archive.layout.name, classes=tmp_path / 'names.txt')
        assert_same(back, archive, LOST[name] - {'classes', 'layout'})
    else:
        assert_same(round_trip(name, archive, tmp_path), archive, LOST[name])


def test_flat_of_real_data_equals_its_source(tmp_path, real_data_dir):
    source = real_data_dir / 'utd_mhad.npz'
    archive = CONVERTERS.get('flat')().convert(source, tmp_path / 'archive')
    written = EXPORTERS.get('flat')().export(archive.path, tmp_path / 'x.npz')
    with np.load(source) as theirs, np.load(written, allow_pickle=False) as ours:
        for key in ('keypoint', 'offsets', 'label', 'name', 'class_names', 'subject', 'split_xsub'):
            if key in theirs:
                np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


@pytest.mark.parametrize('name', sorted({*FORMATS} - {'crosclr'}))
def test_unlabelled_flat_and_own_layouts(name, tmp_path):
    own = Layout.from_edges('stick', ['neck', 'left_shoulder', 'left_hand', 'right_shoulder', 'right_hand', 'left_hip',
                                      'left_foot', 'right_hip', 'right_foot'],
                            [(0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (5, 6), (0, 7), (7, 8)])
    with ArchiveWriter(tmp_path / 'archive', own, unit='pixel') as writer:
        for i in range(3):
            writer.add(motion(4 + i, 1, i, 9, 2), name=f'a{i}')
        archive = writer.finish()
    back = round_trip(name, archive, tmp_path)
    assert back.meta['unit'] == {'pyskl': 'pixel', 'flat': 'unknown', 'csv': 'pixel'}[name]
    assert back.layout.bones == own.bones and back.layout.joints == own.joints
    assert_same(back, archive, LOST[name] | {'about', 'layout'})


@pytest.mark.parametrize('layout', list_layouts())
@pytest.mark.parametrize('name', FORMATS)
def test_every_layout(name, layout, tmp_path):
    """In space and in an image; the formats that name joints know the layout again."""
    for axes in (2, 3):
        archive = two_persons(tmp_path / f'archive{axes}', layout, axes, 'unknown')
        (tmp_path / str(axes)).mkdir()
        options = dict(layout=layout) if name == 'crosclr' else {}
        assert_same(round_trip(name, archive, tmp_path / str(axes), **options), archive, LOST[name])


def test_pyskl_reads_it(tmp_path):
    """As pyskl's own PoseDataset does: plain pickle, the names of numpy 1, protocol 4, ``img_shape`` as a pair."""
    archive = two_persons(tmp_path / 'archive', 'coco17', 2, 'pixel', img_shape_h=1080, img_shape_w=1920)
    written = EXPORTERS.get('pyskl')().export(archive.path, tmp_path / 'x.pkl')
    content = written.read_bytes()
    assert b'numpy._core' not in content and pickletools.genops(content).__next__()[1] == 4
    data = pickle.loads(content)
    split, annotations = data['split'], data['annotations']
    chosen = [each for each in annotations if each['frame_dir'] in set(split['xsub_train'])]
    assert len(chosen) == 4 and split['xsub_val'] == ['take 1', 'take 5']
    for each in annotations:
        assert type(each['keypoint']) is np.ndarray and each['keypoint'].dtype == np.float32
        assert each['keypoint'].shape[1] == each['total_frames'] and each['img_shape'] == (1080, 1920)
        assert type(each['label']) is int and type(each['frame_dir']) is str
    assert_same(CONVERTERS.get('pyskl')().convert(written, tmp_path / 'back'), archive, set())


def test_crosclr_code_reads_it(tmp_path):
    """As the feeders do: a mapped array (N, C, T, V, M) and a pickled pair of lists."""
    archive = two_persons(tmp_path / 'archive')
    EXPORTERS.get('crosclr')().export(archive.path, tmp_path / 'x', frames=300, persons=2, split='xsub')
    assert [path.name for path in (tmp_path / 'x').iterdir()] == ['xsub']
    data = np.load(tmp_path / 'x' / 'xsub' / 'val_data_joint.npy', mmap_mode='r')
    names, labels = pickle.loads((tmp_path / 'x' / 'xsub' / 'val_label.pkl').read_bytes())
    assert data.shape == (2, 3, 300, 25, 2) and data.dtype == np.float32 and names == ['take 1', 'take 5']
    assert labels == [1, 2] and type(labels[0]) is int
    for row, i in enumerate((1, 5)):
        sequence = archive.sequence(i)
        for m, t, v, c in np.random.default_rng(0).integers(0, sequence.shape, (50, 4)):
            assert data[row, c, t, v, m] == sequence[m, t, v, c]
        assert not data[row, :, sequence.shape[1]:].any()


def test_copies_keep_their_splits(tmp_path):
    """Reading a flat npz makes the clean splits again, from ``duplicate_of``."""
    with ArchiveWriter(tmp_path / 'archive', 'ntu25', classes=['a'], source='made up') as writer:
        for i in range(4):
            writer.add(motion(5, 1, i % 3, 25), label=0, name=f'a{i}', duplicate_of='a0' if i == 3 else '')
        archive = writer.finish({'x': ['train', 'train', 'test', 'test'], 'x_clean': ['train', 'train', 'test', '']})
    for name in ('flat', 'pyskl'):
        assert_same(round_trip(name, archive, tmp_path), archive, LOST[name])


def test_what_a_format_cannot_hold_is_an_error(tmp_path):
    def fails(name, archive, message, error=DataError, **options):
        with pytest.raises(error, match=message):
            EXPORTERS.get(name)().export(archive.path, tmp_path / 'out', **options)
        assert not (tmp_path / 'out').exists() and not list(tmp_path.glob('.*'))

    archive = two_persons(tmp_path / 'archive')
    fails('crosclr', archive, "--frames 9: sequence 'take 3' has 10 frames", ConfigError, frames=9)
    fails('crosclr', archive, '--persons 1: ', ConfigError, persons=1)
    fails('crosclr', archive, "no split 'xview'", ConfigError, split='xview')
    fails('flat', two_persons(tmp_path / 'units', units='x'), "column 'units'")
    fails('csv', two_persons(tmp_path / 'split', split='x'), "column 'split'")
    for i, name in enumerate(('a/b', 'labels', '.a', '#a', ' a', 'a' * 300)):
        with ArchiveWriter(tmp_path / f'n{i}', 'ntu25') as writer:
            writer.add(motion(3, 1, 0, 25), name=name)
            fails('csv', writer.finish(), 'cannot be the name of a file')
    for i, joint in enumerate(('l,hand', '"hand"', 'hand_', 'hand\n')):
        joints = ['neck', 'left_shoulder', joint, 'right_shoulder', 'left_hip', 'right_hip']
        own = Layout.from_edges('stick', joints, [(0, 1), (1, 2), (0, 3), (0, 4), (0, 5)])
        with ArchiveWriter(tmp_path / f'j{i}', own) as writer:
            writer.add(motion(3, 1, 0, 6), name='a')
            fails('csv', writer.finish(), 'cannot all be names of columns')
    for i, (changes, splits, formats, message) in enumerate((
            (dict(name='same'), {'x': ['train', 'test']}, ('crosclr', 'pyskl'), "two sequences are called 'same'"),
            ({}, {}, ('crosclr',), 'has no splits'), ({}, {'../x': ['train', 'test']}, ('crosclr',), 'of a folder'))):
        with ArchiveWriter(tmp_path / f'a{i}', 'ntu25', classes=['a']) as writer:
            for k in range(2):
                writer.add(motion(3, 1, k, 25), label=0, **changes)
            archive = writer.finish(splits)
        for name in formats:
            fails(name, archive, message)
    with ArchiveWriter(tmp_path / 'unlabelled', 'ntu25') as writer:
        for k in range(2):
            writer.add(motion(3, 1, k, 25))
        archive = writer.finish({'x': ['train', 'test']})
    fails('crosclr', archive, 'has no labels')


@pytest.mark.parametrize('name', FORMATS)
def test_memory_is_bounded(name, tmp_path):
    """Forty sequences are written in the memory of a few."""
    with ArchiveWriter(tmp_path / 'archive', 'ntu25', classes=['a']) as writer:
        for i in range(40):
            writer.add(motion(100, 2, i, 25), label=0)
        archive = writer.finish({'x': ['train', 'test'] * 20})
    tracemalloc.start()
    EXPORTERS.get(name)().export(archive.path, tmp_path / 'x')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (archive.path / 'keypoints.npy').stat().st_size / 3


@pytest.mark.parametrize('name', FORMATS)
def test_nothing_is_replaced_unasked(name, tmp_path):
    archive = two_persons(tmp_path / 'archive')
    exporter, dst = EXPORTERS.get(name)(), tmp_path / 'new' / 'x'

    def content(path):
        files = [path] if path.is_file() else sorted(path.rglob('*'))
        return {file.name: file.read_bytes() for file in files if file.is_file()}

    exporter.export(archive.path, dst)
    first = content(dst)
    with pytest.raises(DataError, match='pass --overwrite'):
        exporter.export(archive.path, dst)
    assert content(dst) == first
    exporter.export(archive.path, dst, overwrite=True)
    assert content(dst) == first, 'the same bytes'
    assert [path.name for path in dst.parent.iterdir()] == ['x']
    other = tmp_path / 'other'
    if exporter.folder_of:
        (dst / 'notes.txt').write_text('mine')
        with pytest.raises(DataError, match='holds more than .*notes.txt'):
            exporter.export(archive.path, dst, overwrite=True)
        other.write_text('mine')
    else:
        other.mkdir()
    with pytest.raises(DataError, match='choose another destination'):
        exporter.export(archive.path, other, overwrite=True)
    with pytest.raises(DataError, match='choose another destination'):
        exporter.export(archive.path, archive.path, overwrite=True)
    assert SkeletonArchive.open(archive.path)


@pytest.mark.parametrize('name', FORMATS)
def test_an_export_that_fails_leaves_the_old_one(name, tmp_path, monkeypatch):
    archive = two_persons(tmp_path / 'archive')
    exporter, dst = EXPORTERS.get(name)(), tmp_path / 'new' / 'x'
    exporter.export(archive.path, dst)
    before = sorted((path, path.stat().st_mtime_ns) for path in [dst, *dst.rglob('*')])
    calls = []

    def fails(self, i):
        calls.append(i)
        raise OSError('disk full')

    monkeypatch.setattr(SkeletonArchive, 'sequence', fails)
    with pytest.raises(OSError, match='disk full'):
        exporter.export(archive.path, dst, overwrite=True)
    assert calls and sorted((path, path.stat().st_mtime_ns) for path in [dst, *dst.rglob('*')]) == before
    assert [path.name for path in dst.parent.iterdir()] == ['x']


@pytest.mark.parametrize('name', FORMATS)
def test_options_are_arguments(name):
    parser = ArgumentParser()
    exporter = EXPORTERS.get(name)()
    exporter.add_arguments(parser)
    options = {key: value for key, value in vars(parser.parse_args([])).items()}
    parameters = inspect.signature(exporter.write).parameters
    assert set(options) == set(parameters) - {'archive', 'dst'}
    assert all(parameters[key].default == value for key, value in options.items())
    assert inspect.getdoc(EXPORTERS.get(name)), 'the help text'


def test_csv_files_of_somebody_are_not_replaced(tmp_path):
    archive = two_persons(tmp_path / 'archive')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'labels.csv').write_text('file,label')
    with pytest.raises(DataError, match='CSV files that no export wrote'):
        EXPORTERS.get('csv')().export(archive.path, tmp_path / 'mine', overwrite=True)
    assert (tmp_path / 'mine' / 'labels.csv').read_text() == 'file,label'


def test_csv_that_other_programs_read(tmp_path):
    """By the csv module: a line for each person and frame, empty cells where a joint was not seen."""
    archive = two_persons(tmp_path / 'archive')
    written = EXPORTERS.get('csv')().export(archive.path, tmp_path / 'x')
    with (written / 'labels.csv').open(newline='') as file:
        table = list(csv.DictReader(line for line in file if not line.startswith('#')))
    assert [row['label'] for row in table[:3]] == ['wave', 'nod', 'h\u00fcpfen']
    assert table[3]['split_official'] == 'train'
    sequence = archive.sequence(3)
    with (written / table[3]['file']).open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 20 and [(line['frame'], line['person']) for line in lines[:3]] == [
        ('0', '0'), ('0', '1'), ('1', '0')]
    joint = archive.layout.joints[3]
    assert [lines[2 * 5][f'{joint}_{axis}'] for axis in 'xyz'] == ['', '', '']
    assert float(lines[2 * 7 + 1][f'{joint}_y']) == pytest.approx(sequence[1, 7, 3, 1], rel=1e-7)


def test_the_tool(tool, tmp_path, capsys):
    archive = two_persons(tmp_path / 'archive')
    assert tool('export', 'crosclr', archive.path, tmp_path / 'x', '--frames', 12) == 0
    assert tool('export', 'crosclr', archive.path, tmp_path / 'x') == 1
    assert 'pass --overwrite' in capsys.readouterr().err
    assert tool('convert', 'crosclr', tmp_path / 'x', tmp_path / 'back') == 0
    assert_same(SkeletonArchive.open(tmp_path / 'back'), archive, LOST['crosclr'])
    assert tool('export', 'pyskl', tmp_path, tmp_path / 'y') == 1
    assert 'meta.json' in capsys.readouterr().err
    assert tool('export', '--custom-imports', 'no_such_module', 'pyskl', archive.path, tmp_path / 'y') == 1
    with pytest.raises(SystemExit):
        tool('export', '--help')
    out = capsys.readouterr().out
    assert all(name in out for name in FORMATS)


def test_the_tool_as_a_program(repo_root, tmp_path):
    archive = two_persons(tmp_path / 'archive')
    command = [sys.executable, 'tools/dataset_converters/export.py', 'flat', archive.path, tmp_path / 'x.npz']
    done = subprocess.run(command, cwd=repo_root, capture_output=True, text=True, check=True,
                          env={**os.environ, 'PYTHONPATH': str(repo_root)})
    assert 'x.npz: written' in done.stdout
    with np.load(tmp_path / 'x.npz', allow_pickle=False) as stored:
        assert len(stored['offsets']) == 9


def test_half_a_shape_of_images_is_a_column(tmp_path):
    archive = two_persons(tmp_path / 'archive', img_shape_h=1080)
    assert_same(round_trip('pyskl', archive, tmp_path), archive, LOST['pyskl'])
