"""CSV: what a second writer wrote comes back, wrong lines and cells are named, labels and splits come from tables."""
import csv
import io
import json
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets.converters import CSVConverter
from mmactclr.datasets.converters.csv_files import find_skeleton, match_joints, read_csv
from mmactclr.datasets.converters.csv_table import GAPS, read_motion
from mmactclr.datasets.converters.labels import Labels, find_labels, split_maker
from mmactclr.datasets.converters.source_files import find_files
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout

from .conftest import motion
from .fuzzing import check_reader, mutations

JOINTS = ('neck', 'head', 'left_shoulder', 'left_hand', 'right_shoulder', 'right_hand', 'left_hip', 'left_foot',
          'right_hip', 'right_foot')


def wide(keypoint: np.ndarray, joints=JOINTS, separator: str = ',', decimal: str = '.', end: str = '\n',
         header=lambda joint, axis: f'{joint}_{axis}', person: bool = False) -> bytes:
    """(M, T, V, C) as a line a frame; digits that give float32 back to the last bit."""
    out = io.StringIO(newline='')
    lines = csv.writer(out, delimiter=separator, lineterminator=end)
    axes = 'xyz'[:keypoint.shape[-1]]
    names = [header(joint, axis) for joint in joints for axis in axes]
    lines.writerow(['frame', *(['person'] if person else []), *names])
    for t in range(keypoint.shape[1]):
        for m in range(keypoint.shape[0]):
            values = [repr(float(x)).replace('.', decimal) for x in keypoint[m, t].ravel()]
            lines.writerow([t, *([f'p{m}'] if person else []), *values])
    return out.getvalue().encode()


def long(keypoint: np.ndarray, joints=JOINTS) -> bytes:
    """(1, T, V, C) as a line a joint."""
    lines = ['joint;x;z;frame;y']
    for t, frame in enumerate(keypoint[0]):
        lines += [f'{joint};{x!r};{z!r};{t};{y!r}' for joint, (x, y, z) in zip(joints, frame.tolist(), strict=True)]
    return '\n'.join(lines).encode()


def moving(persons: int = 1, frames: int = 7, axes: int = 3) -> np.ndarray:
    return motion(frames, persons, joints=len(JOINTS), axes=axes)


@pytest.mark.parametrize('options', [
    {}, dict(separator=';'), dict(separator=';', decimal=','), dict(separator='\t', end='\r\n'), dict(end='\r'),
    dict(header=lambda joint, axis: f'{axis.upper()}.{joint}'), dict(header=lambda joint, axis: f'{joint} {axis}'),
    dict(header=lambda joint, axis: f'{joint}:{axis.upper()}')])
@pytest.mark.parametrize('axes', [2, 3])
def test_spellings_of_one_table(options, axes):
    written = moving(axes=axes)
    joints, found, _ = read_motion(b'\xef\xbb\xbf# by a sensor\n\n' + wide(written, **options), 'a.csv')
    assert joints == JOINTS and np.array_equal(found, written)


def test_two_persons_and_gaps():
    written = moving(2)
    content = wide(written, person=True).split(b'\n')
    del content[2]  # the second person of the first frame
    written[1, 0] = 0
    joints, found, _ = read_motion(b'\n'.join(content), 'a.csv')
    assert np.array_equal(found, written)


def test_a_line_a_joint():
    written = moving()
    joints, found, _ = read_motion(long(written), 'a.csv')
    assert joints == JOINTS and np.array_equal(found, written)
    lines = long(written).split(b'\n')
    np.random.default_rng(0).shuffle(lines[1:])
    assert np.array_equal(read_motion(b'\n'.join(lines[:1] + lines[:0:-1]), 'a.csv')[1][:, :, ::-1], written)


@pytest.mark.parametrize('word', ['', 'nan', 'NaN', 'NA', ' '])
def test_joints_that_were_not_seen_are_zero(word):
    written = moving()
    content = wide(written).decode().split('\n')
    cells = content[3].split(',')
    cells[4:7] = [word] * 3
    content[3] = ','.join(cells)
    written[0, 2, 1] = 0
    assert np.array_equal(read_motion('\n'.join(content).encode(), 'a.csv')[1], written)


@pytest.mark.parametrize('read', [wide, long])
def test_a_joint_of_which_a_part_is_missing_was_not_seen(read):
    """With a zero in place of x alone it would be a spike through the middle of the scene."""
    written = moving()
    content = read(written).replace(repr(float(written[0, 2, 1, 0])).encode(), b'')
    written[0, 2, 1] = 0
    assert np.array_equal(read_motion(content, 'a.csv')[1], written)


def test_columns_of_other_things_are_ignored():
    content = '\n'.join(['time,mood,hip_x,hip_y,hip_z,hip_score', '0.5,good,1,2,3,x', '0.25,,4,5,6,'])
    joints, found, _ = read_motion(content.encode(), 'a.csv')
    assert joints == ('hip',) and found[0, :, 0].tolist() == [[4, 5, 6], [1, 2, 3]]  # in the order of time


@pytest.mark.parametrize(('text', 'message'), [
    ('', 'line 1: the file is empty'), ('# only\n', 'line 1: the file is empty'), ('a,b\n1,2\n', 'line 1.*hip_x'),
    ('hip_x,hip_y,hip_z\n', 'line 1: nothing follows'), ('hip_x,hip_y,hip_z,hip_x\n', "line 1: column 'hip_x'.*twice"),
    ('hip_x,hip_z\n1,2\n', "joint 'hip' has no column 'hip_y'"),
    ('hip_x,hip_y\n1,2\n#\n3\n', 'line 4: 1 cells, the header has 2'),
    ('hip_x,hip_y\n1,2\n3,4,5\n', 'line 3: 3 cells'),
    ('hip_x,hip_y\n1,2\n3,x\n', "line 3: column 2: 'x', expected a number"),
    ('hip_x,hip_y\n1,inf\n', "line 2: column 2: 'inf'"), ('hip_x,hip_y\n1,1e39\n', "line 2: column 2: '1e39'"),
    ('hip_x,hip_y\n1,2 3\n', "line 2: column 2: '2 3'"),
    ('frame,joint,x,y\n' + '\n'.join(f'{i},j{i},1,2' for i in range(300)), 'line 1: 300 lines.*300 frames and 300'),
    ('joint,x,y\nhip,1,2\n', 'needs a column "frame"'),
    ('frame,hip_x,hip_y\n1,1,2\n1,3,4\n', 'line 3: the same frame'), ('frame,hip_x,hip_y\n,1,2\n', 'line 2: column 1'),
    ('h\xfcfte_x,h\xfcfte_y\n1,2\n', None)])
def test_wrong_tables_are_named(text, message):
    if message is None:
        with pytest.raises(DataError, match='line 1.*not UTF-8'):
            read_motion(text.encode('latin-1'), 'a.csv')
        assert read_motion(text.encode(), 'a.csv')[0] == ('h\xfcfte',)
        return
    with pytest.raises(DataError, match=f'a.csv, .*{message}'):
        read_motion(text.encode(), 'a.csv')


@pytest.mark.parametrize('content', [wide(moving()), long(moving()), wide(moving(2), separator=';', person=True)])
def test_fuzzed_tables(content):
    layout = Layout.from_edges('ten', JOINTS, [(1, 0), (2, 0), (3, 2), (4, 0), (5, 4), (6, 0), (7, 6), (8, 0), (9, 8)])

    def read(file):
        return read_csv(file, layout, Labels([]))

    check_reader(read, 'a.csv', content)


def write_source(folder: Path, separator: str = '/') -> dict[str, np.ndarray]:
    written = {}
    for i in range(12):
        path = folder / ['wave', 'nod'][i % 2] / f'take{i}.csv'
        path.parent.mkdir(parents=True, exist_ok=True)
        written[path.stem] = motion(3 + i, joints=len(JOINTS), seed=i)
        path.write_bytes(wide(written[path.stem] * 100))
    return written


def test_folders_name_the_classes(tmp_path):
    written = write_source(tmp_path / 'raw')
    (tmp_path / 'raw' / 'loose.csv').write_bytes(wide(moving()))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', unit='cm', fps=50, test_fraction=.4)
    assert archive.classes == ('nod', 'wave') and archive.meta['fps'] == 50 and archive.meta['unit'] == 'm'
    assert archive.column('name').tolist() == [f'take{i}' for i in range(12)]
    for i in range(12):
        assert archive.labels[i] == 1 - i % 2
        assert np.allclose(archive.sequence(i), written[f'take{i}'], rtol=1e-6)
    test = archive.split('random', 'test')
    assert np.bincount(archive.labels[test]).tolist() == [2, 2]
    assert archive.meta['excluded'] == {'in no folder that names a class': ['loose.csv']}
    assert archive.layout.parts['left_arm'] == (2, 3)


def test_a_table_names_classes_columns_and_splits(tmp_path):
    write_source(tmp_path / 'raw')
    rows = ['file;label;subject;weight;split;split_view']
    rows += [f'take{i}.csv;class {i % 3};{"ab"[i % 2]};{i / 2};{"test" if i > 7 else "train"};' for i in range(11)]
    rows[5] += 'test'
    rows[6] += 'train'
    (tmp_path / 'labels.csv').write_text('\n'.join(rows))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', labels=tmp_path / 'labels.csv', unit='mm')
    assert archive.classes == ('class 0', 'class 1', 'class 2') and len(archive) == 11
    assert archive.labels.tolist() == [i % 3 for i in range(11)]
    assert archive.column('subject').tolist() == ['ab'[i % 2] for i in range(11)]
    assert archive.column('weight').tolist() == [i / 2 for i in range(11)]
    assert archive.split('xsub', 'test').tolist() == [8, 9, 10]
    assert archive.split('view', 'train').tolist() == [5] and archive.split('view', 'test').tolist() == [4]
    assert archive.meta['excluded'] == {'not in the table of labels': ['take11.csv']}
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'b', labels=tmp_path / 'labels.csv',
                                     test_subjects=['b'])
    assert archive.split('xsub', 'test').tolist() == [1, 3, 5, 7, 9]
    assert archive.meta['unit'] == 'unknown'


def test_joints_of_any_script(tmp_path):
    """Decomposed letters, as some systems write them, are the same joint; no two joints are taken for one."""
    joints = ['\u0915\u093e', '\u0915\u093f', 'H\u00fcfte \u00fc', 'H\u00fcfte R', 'Schulter L', 'Schulter R', '+',
              '\u982d']
    edges = [[name, joints[1]] for name in joints if name != joints[1]]
    fields = dict(joints=joints, edges=edges, centre=joints[1], hips=joints[2:4], shoulders=joints[4:6],
                  flip_pairs=[joints[2:4], joints[4:6]])
    (tmp_path / 'skeleton.json').write_text(json.dumps(fields))
    written = motion(3, joints=8)
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw' / 'one.csv').write_bytes(wide(written, joints))
    decomposed = [unicodedata.normalize('NFD', name) for name in joints]
    (tmp_path / 'raw' / 'two.csv').write_bytes(wide(written[:, :, ::-1], decomposed[::-1]))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', skeleton=tmp_path / 'skeleton.json', unit='m')
    assert len(archive) == 2 and archive.layout.joints == tuple(joints)
    assert np.array_equal(archive.sequence(0), written) and np.array_equal(archive.sequence(1), written)


def test_fuzzed_tables_of_labels(tmp_path):
    write_source(tmp_path / 'raw')
    files, table = find_files(tmp_path / 'raw', '*.csv'), tmp_path / 'labels.csv'
    content = ('file;label;subject;weight;split\n' + ''.join(
        f'take{i};class {i % 3};{i};{i / 4};{["train", "test"][i % 2]}\n' for i in range(12))).encode()
    refused = 0
    for data in mutations(content, 2000):
        table.write_bytes(data)
        try:
            labels = find_labels(tmp_path / 'raw', files, table)
            assert all(labels.of(file)[0] < max(len(labels.classes), 1) for file in labels.files)
        except DataError as error:
            refused += 1
            assert 'labels.csv' in str(error) and str(error).isprintable() and len(str(error)) < 600, error
    assert refused > 200


def test_a_missing_unit_is_asked_for(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('mmactclr.datasets.converters.units.print_log', lambda text, **_: said.append(text))
    write_source(tmp_path / 'raw')
    CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', unit='cm')
    assert not said
    CSVConverter().convert(tmp_path / 'raw', tmp_path / 'b')
    assert len(said) == 1 and 'are kept as they are, pass --unit' in said[0]


def test_files_alone_have_no_classes(tmp_path):
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw' / 'one.csv').write_bytes(wide(moving(axes=2)))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.classes == () and archive.num_axes == 2 and archive.meta['unit'] == 'pixel'


@pytest.mark.parametrize(('table', 'message'), [
    ('name,label\nx,y\n', 'line 1: the header'), ('file,file\n', 'line 1: the header'), ('', 'line 1: the header'),
    ('file,label\n', 'no line below'), ('file,label\ntake1\n', 'line 2: 1 cells'),
    ('file,label\nx,y\n', "line 2: file 'x'"), ('file,label\ntake1,a\ntake1.csv,b\n', 'line 3.*named before'),
    ('file,split\ntake1,val\n', "'val', expected train"),
    ('file,label\ntake1,a\ntake2,\n', 'take2.csv has no label'),
    ('file,frames\ntake1,3\n', 'column "frames" has a name that an archive uses itself; rename it'),
    ('file,lable\ntake1,nod\n', 'column "lable": did you mean "label"'),
    ('file,\ntake1,3\n', 'line 1: column 2 has no name'), ('file,label\ntake1,a\0\n', "line 2: 'a.x00'"),
    ('file,split\ntake1,train\ntake2,val\n', "line 3: column 'split' holds 'val'"),
    ('file,label\n"take1,a\n', 'no CSV')])
def test_wrong_tables_of_labels(tmp_path, table, message):
    write_source(tmp_path / 'raw')
    (tmp_path / 'labels.csv').write_text(table)
    with pytest.raises(DataError, match=message):
        CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', labels=tmp_path / 'labels.csv')
    assert not (tmp_path / 'a').exists()


def test_comments_and_accents_in_a_table_of_labels(tmp_path):
    (tmp_path / 'raw').mkdir()
    # as a Mac stores the name, and as a spreadsheet on Windows writes it
    (tmp_path / 'raw' / 'ta\u0308nze.csv').write_bytes(wide(moving()))
    table = tmp_path / 'labels.csv'
    table.write_bytes('\ufeff# who, and what\r\n\r\nfile;label\r\n# the only one\r\nt\u00e4nze;a, b\r\n'.encode())
    labels = find_labels(tmp_path / 'raw', find_files(tmp_path / 'raw', '*.csv'), table)
    assert labels.classes == ('a, b',) and len(labels.files) == 1
    table.write_text('# who\nfile,label\n# what\nx,y\n')
    with pytest.raises(DataError, match="labels.csv, line 4: file 'x'"):
        find_labels(tmp_path / 'raw', find_files(tmp_path / 'raw', '*.csv'), table)


def test_units(tmp_path):
    (tmp_path / 'raw').mkdir()
    written = moving()
    (tmp_path / 'raw' / 'one.csv').write_bytes(wide(written))
    for options, factor, unit in ((dict(unit='foot'), .3048, 'm'), (dict(metres_per_unit=.25), .25, 'm'),
                                  ({}, 1, 'unknown'), (dict(unit='pixel'), 1, 'pixel')):
        archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', overwrite=True, **options)
        assert archive.meta['unit'] == unit and np.allclose(archive.sequence(0), written * factor, rtol=1e-6)
    for options in (dict(metres_per_unit=0.), dict(metres_per_unit=float('nan')), dict(metres_per_unit=2., unit='m')):
        with pytest.raises(ConfigError, match='--metres-per-unit'):
            CSVConverter().convert(tmp_path / 'raw', tmp_path / 'b', **options)


def test_fuzzed_skeleton_files(tmp_path):
    joints = ['N', 'LS', 'RS', 'LH', 'RH']
    fields = dict(joints=joints, edges=[[joint, 'N'] for joint in joints[1:]], centre='N', shoulders=['LS', 'RS'],
                  hips=['LH', 'RH'], flip_pairs=[['LS', 'RS'], ['LH', 'RH']])
    file = tmp_path / 'skeleton.json'
    refused = 0
    deep = [b'[' * 100_000, b'{"joints":' * 5000, b'{"joints": [NaN, 1, []], "edges": [[1e400, null]]}']
    for data in [*mutations(json.dumps(fields).encode(), 2000), *deep]:
        file.write_bytes(data)
        try:
            assert find_skeleton(joints, 'a.csv', 'x', file).num_joints <= 5
        except (DataError, ConfigError) as error:
            refused += 1
            assert 'skeleton.json' in str(error) and len(str(error)) < 600
    assert refused > 1000


def test_a_name_that_two_files_have_needs_its_path(tmp_path):
    for folder in 'ab':
        (tmp_path / 'raw' / folder).mkdir(parents=True)
        (tmp_path / 'raw' / folder / 'one.csv').write_bytes(wide(moving()))
    table = tmp_path / 'labels.csv'
    table.write_text('file,label\none,x\n')
    files = find_files(tmp_path / 'raw', '*.csv')
    with pytest.raises(DataError, match='several files, give its path'):
        find_labels(tmp_path / 'raw', files, table)
    table.write_text('file,label\na/one,x\nb/one.csv,y\n')
    labels = find_labels(tmp_path / 'raw', files, table)
    assert [labels.of(file)[0] for file in files] == [0, 1]


def test_a_built_in_layout_is_recognised_whatever_the_order():
    layout = get_layout('ntu25')
    assert find_skeleton([name.upper() for name in layout.joints[::-1]], 'a.csv', 'x') is layout


def test_skeletons_from_a_file(tmp_path):
    joints = ['N', 'LS', 'LH', 'RS', 'RH', 'LT', 'LF', 'RT', 'RF', 'spare']
    edges = [['LS', 'N'], ['LH', 'LS'], ['RS', 'N'], ['RH', 'RS'], ['LT', 'N'], ['LF', 'LT'], ['RT', 'N'], ['RF', 'RT']]
    pairs = [['LS', 'RS'], ['LH', 'RH'], ['LT', 'RT'], ['LF', 'RF']]
    fields = dict(joints=joints[:9], edges=edges, centre='N', shoulders=['LS', 'RS'], hips=['LT', 'RT'],
                  flip_pairs=pairs)
    file = tmp_path / 'skeleton.json'
    file.write_text(json.dumps(fields))
    layout = find_skeleton(joints, 'a.csv', 'mine', file)
    assert layout.joints == tuple(joints[:9]) and layout.name == 'mine' and layout.parts['left_leg'] == (5, 6)
    for change, kind, message in (
            (dict(joints=['N', 'elbow']), ConfigError, "has no joint elbow"), (dict(edges=[]), DataError, 'no list'),
            (dict(edges=edges[1:]), ConfigError, 'no edges lead'),
            (dict(bones=[]), DataError, 'expected "joints" and "edges"'),
            (dict(edges=[1]), ConfigError, '--skeleton'), (dict(centre=None), ConfigError, 'centre')):
        file.write_text(json.dumps({key: value for key, value in {**fields, **change}.items() if value is not None}))
        with pytest.raises(kind, match=message):
            find_skeleton(joints, 'a.csv', 'mine', file)
    file.write_text('{"joints": [')
    with pytest.raises(DataError, match='line 1'):
        find_skeleton(joints, 'a.csv', 'mine', file)


def test_names_that_do_not_tell_say_what_to_do():
    with pytest.raises(ConfigError, match='what Crown, ShL hang on.*--skeleton'):
        find_skeleton(['Crown', 'neck', 'ShL'], 'a.csv', 'x')
    with pytest.raises(ConfigError, match='--layout ntu25: a.csv has no joint spine_base'):
        find_skeleton(['neck'], 'a.csv', 'x', layout='ntu25')


def test_a_file_without_a_joint_that_others_have_is_left_out(tmp_path):
    write_source(tmp_path / 'raw')
    (tmp_path / 'raw' / 'nod' / 'take9.csv').write_bytes(wide(moving()[:, :, :9], JOINTS[:9]))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert len(archive) == 11 and "no joint 'right_foot'" in archive.meta['excluded']['the file is damaged'][0]


def test_recordings_of_one_name_in_two_folders_are_both_kept(tmp_path):
    for kind in ('wave', 'nod'):
        (tmp_path / 'raw' / kind).mkdir(parents=True)
        for i in range(3):
            (tmp_path / 'raw' / kind / f'{i:03}.csv').write_bytes(wide(moving()))
    (tmp_path / 'raw' / 'nod' / 'own.csv').write_bytes(wide(moving()))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert sorted(archive.column('name')) == [
        'nod/000', 'nod/001', 'nod/002', 'own', 'wave/000', 'wave/001', 'wave/002']


def test_joints_whose_names_are_alike_are_told_apart_or_refused():
    assert match_joints(['M1_1', 'M11'], ['M11', 'M1_1']) == [1, 0]
    assert match_joints(['\u5de6\u8098', '\u53f3\u8098'], ['\u53f3\u8098', '\u5de6\u8098']) == [1, 0]
    assert match_joints(['Left Elbow', 'HEAD'], ['left_elbow', 'head']) == [0, 1]
    assert match_joints(['m1.1', 'm11'], ['M11', 'M1_1']) == [None, None]  # which is which?


def test_going_on_after_the_table_was_edited_begins_again(tmp_path, monkeypatch):
    from mmactclr.datasets.converters import file_converter
    monkeypatch.setattr(file_converter, '_BATCH', 2)
    write_source(tmp_path / 'raw')
    table, original = tmp_path / 'labels.csv', file_converter.ArchiveWriter.checkpoint
    table.write_text('file,label\n' + ''.join(f'take{i},{"ab"[i % 2]}\n' for i in range(12)))

    def interrupted(self, done):
        original(self, done)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(file_converter.ArchiveWriter, 'checkpoint', interrupted)
        with pytest.raises(KeyboardInterrupt):
            CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', labels=table, workers=1)
    table.write_text('file,label\n' + ''.join(f'take{i},{"ba"[i % 2]}\n' for i in range(12)))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', labels=table, workers=1)
    assert archive.labels.tolist() == [1 - i % 2 for i in range(12)]


def test_tables_as_spreadsheets_write_them(tmp_path):
    write_source(tmp_path / 'raw')
    table = tmp_path / 'labels.csv'
    table.write_text('File,Label,Subject,big\n' + ''.join(
        f'take{i},{"ab"[i % 2]},0{i % 3},{10 ** 20 + i}\n' for i in range(12)))
    archive = CSVConverter().convert(tmp_path / 'raw', tmp_path / 'a', labels=table, test_subjects=['01'])
    assert archive.column('subject').tolist()[:3] == ['00', '01', '02'] and len(archive.split('xsub', 'test')) == 4
    assert archive.column('big')[3] == '100000000000000000003'
    with pytest.raises(ConfigError, match='no recording of 1; there are 00, 01, 02'):
        CSVConverter().convert(tmp_path / 'raw', tmp_path / 'b', labels=table, test_subjects=['1'])
    for header, message in (('file,keypoint', 'an archive uses itself'), ('file,notes', 'an archive uses itself'),
                            ('file,split,split_xsub', 'the same split')):
        table.write_text(header + '\n' + 'take1' + ',train' * header.count(',') + '\n')
        with pytest.raises(DataError, match=message):
            CSVConverter().convert(tmp_path / 'raw', tmp_path / 'b', labels=table)


def test_a_path_that_is_exact_comes_before_a_name_that_two_files_have(tmp_path):
    (tmp_path / 'raw' / 'sub').mkdir(parents=True)
    for path in ('x.csv', 'sub/x.csv'):
        (tmp_path / 'raw' / path).write_bytes(wide(moving()))
    (tmp_path / 'labels.csv').write_text('file,label\nx.csv,a\nsub/x,b\n')
    files = find_files(tmp_path / 'raw', '*.csv')
    labels = find_labels(tmp_path / 'raw', files, tmp_path / 'labels.csv')
    assert {labels.name_of(file): labels.of(file)[0] for file in files} == {'x': 0, 'sub/x': 1}


def test_a_zip_without_folders_names_no_class(tmp_path):
    with zipfile.ZipFile(tmp_path / 'takes.zip', 'w') as file:
        file.writestr('one.csv', wide(moving()))
    assert CSVConverter().convert(tmp_path / 'takes.zip', tmp_path / 'a').classes == ()


@pytest.mark.parametrize('fraction', [.01, .5, .99])
def test_every_class_trains_and_tests_where_it_has_two(fraction):
    columns = dict(label=np.repeat([0, 1, 2], [5, 2, 1]))
    split = split_maker(Labels([]), test_fraction=fraction)(columns)['random']
    assert {(label, part) for label, part in zip(columns['label'].tolist(), split.tolist(), strict=True)} == {
        (0, 'train'), (0, 'test'), (1, 'train'), (1, 'test'), (2, 'train')}


def test_cells_that_make_up_for_each_other_and_gaps_in_the_numbers_of_frames():
    with pytest.raises(DataError, match="line 3: column 1: '1 2'"):
        read_motion(b'hip_x,hip_y,hip_z\n1,2,3\n1 2,,3\n', 'a.csv')
    assert read_motion(b'hip_x,hip_y\n"1","2.5"\n', 'a.csv')[1].ravel().tolist() == [1, 2.5]
    assert read_motion(b'frame,hip_x,hip_y\n0,1,1\n1,1,1\n50,1,1\n', 'a.csv')[2] == (GAPS,)
    assert read_motion(b'frame,hip_x,hip_y\n0,1,1\n2,1,1\n4,1,1\n', 'a.csv')[2] == ()
