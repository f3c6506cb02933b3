"""Northwestern-UCLA: the real sequences written as JSON come out as from the flat file, copies included."""
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets import verify_archive
from mmactclr.datasets.converters import FlatConverter, NWUCLAConverter
from mmactclr.datasets.converters.nwucla import ACTIONS, read_sequence
from mmactclr.errors import DataError

from .conftest import motion
from .fuzzing import MemoryFile, check_reader

NAMES = ('a01_s01_e00_v01', 'a01_s01_e00_v02', 'a02_s01_e00_v03', 'a12_s10_e03_v03', 'a08_s02_e01_v01')


def write_json(folder: Path, name: str, joints: np.ndarray, number: int, **changes) -> bytes:
    """One file as in all_sqe; all digits of a double, so that float32 comes back to the last bit."""
    fields = dict(file_name=name, skeletons=joints.tolist(),
                  label=number)
    content = json.dumps({**fields, **changes}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{name}.json').write_bytes(content)
    return content


def write_folder(folder: Path, names=NAMES) -> dict[str, np.ndarray]:
    written = {}
    for i, name in enumerate(names):
        written[name] = motion(5 + i, seed=i)[0]
        write_json(folder, name, written[name], list(ACTIONS).index(int(name[1:3])) + 1)
    return written


def test_real_data_come_out_as_from_the_flat_file(real_data_dir, tmp_path):
    source = real_data_dir / 'nw_ucla.npz'
    if not source.is_file():
        pytest.skip(f'no real data: {source} does not exist')
    flat = FlatConverter().convert(source, tmp_path / 'flat')
    for i, name in enumerate(flat.column('name').tolist()):
        write_json(tmp_path / 'all_sqe', name, flat.sequence(i)[0], int(flat.labels[i]) + 1)
    archive = NWUCLAConverter().convert(tmp_path / 'all_sqe', tmp_path / 'a', workers=1)
    assert len(archive) == 1484 and archive.column('name').tolist() == flat.column('name').tolist()
    assert all(archive.sequence(i).tobytes() == flat.sequence(i).tobytes() for i in range(1484))
    for column in ('label', 'action_code', 'subject', 'camera', 'episode', 'split_xview', 'split_xview_clean'):
        assert np.array_equal(archive.column(column), flat.column(column)), column
    assert archive.classes == flat.classes and archive.layout == flat.layout
    assert archive.meta['splits'] == flat.meta['splits'] == {
        'xview': dict(train=1020, test=464), 'xview_clean': dict(train=1020, test=369)}

    def pairs(of):
        return {frozenset(pair) for pair in zip(of.column('name').tolist(), of.column('duplicate_of').tolist(),
                                                strict=True) if pair[1]}

    assert pairs(archive) == pairs(flat) and len(pairs(archive)) == 95
    assert set(archive.columns) == set(flat.columns) and verify_archive(archive.path).ok


def test_a_folder_becomes_an_archive(tmp_path):
    written = write_folder(tmp_path / 'all_sqe')
    (tmp_path / 'all_sqe' / 'readme.json').write_text('{}')
    (tmp_path / 'all_sqe' / 'a07_s01_e00_v01.json').write_text('{}')
    archive = NWUCLAConverter().convert(tmp_path / 'all_sqe', tmp_path / 'a')
    assert archive.column('name').tolist() == sorted(written)
    for i, name in enumerate(archive.column('name').tolist()):
        assert np.array_equal(archive.sequence(i)[0], written[name])
    assert [archive.classes[label] for label in archive.labels] == [
        'pick up with one hand'] * 2 + ['pick up with two hands', 'donning', 'carry']
    assert archive.column('action_code').tolist() == [1, 1, 2, 8, 12]
    assert archive.meta['excluded'] == {
        'the file has another name than a recording': ['a07_s01_e00_v01.json', 'readme.json']}
    assert set(archive.column('duplicate_of').tolist()) == {''}


def test_copies_point_at_the_training_sequence(tmp_path):
    names = ['a01_s01_e00_v03', 'a01_s01_e01_v01', 'a01_s01_e02_v03', 'a01_s01_e03_v03', 'a01_s01_e04_v02']
    for name in names[:3]:
        write_json(tmp_path / 'raw', name, motion(4)[0], 1)
    write_json(tmp_path / 'raw', names[3], motion(4, seed=1)[0], 1)
    write_json(tmp_path / 'raw', names[4], motion(5)[0], 1)
    archive = NWUCLAConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.column('duplicate_of').tolist() == [names[1], '', names[1], '', '']
    assert archive.column('split_xview').tolist() == ['test', 'train', 'test', 'test', 'train']
    assert archive.column('split_xview_clean').tolist() == ['', 'train', '', 'test', 'train']


def test_a_zip_gives_the_same_bytes(tmp_path):
    write_folder(tmp_path / 'all_sqe')
    plain = NWUCLAConverter().convert(tmp_path / 'all_sqe', tmp_path / 'a')
    with zipfile.ZipFile(tmp_path / 'all_sqe.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        for name in NAMES:
            file.write(tmp_path / 'all_sqe' / f'{name}.json', f'all_sqe/{name}.json')
    assert NWUCLAConverter().convert(tmp_path / 'all_sqe.zip', tmp_path / 'b').checksum == plain.checksum


def refused(content: bytes, message: str) -> None:
    file = MemoryFile(Path('a01_s01_e00_v01.json'), size=len(content), content=content)
    with pytest.raises(DataError, match=f'a01_s01_e00_v01.json.*{message}') as caught:
        read_sequence(file)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(label=2), 'field label is 2, expected 1'),
    (dict(label=True), 'field label is True'),
    (dict(file_name='a01_s01_e00_v02'), "field file_name is 'a01_s01_e00_v02'"),
    (dict(skeletons=[]), 'field skeletons: 0 entries'),
    (dict(skeletons={}), 'field skeletons: {}'),
    (dict(skeletons=[[[0, 0, 0]] * 20, [[0, 0, 0]] * 19]), 'skeletons, frame 1: 19 entries, expected a list of 20'),
    (dict(skeletons=[[[0, 0, 0]] * 19 + [[0, 0]]]), 'skeletons, frame 0, joint 19: 2 entries'),
    (dict(skeletons=[[[0, 0, 0]] * 19 + [[0, 0, '1']]]), "skeletons, frame 0, joint 19: '1', expected a finite"),
    (dict(skeletons=[[[0, 0, 0]] * 19 + [[0, 0, float('nan')]]]), 'skeletons, frame 0, joint 19: nan'),
    (dict(skeletons=[[[0, 0, 0]] * 19 + [[0, 0, 1e39]]]), 'skeletons, frame 0, joint 19: 1e[+]39'),
    (dict(skeletons=[[[0, 0, 0]] * 19 + [[0, False, 0]]]), 'skeletons, frame 0, joint 19: False'),
])
def test_wrong_fields_are_named(tmp_path, changes, message):
    refused(write_json(tmp_path, 'a01_s01_e00_v01', motion(2)[0], 1, **changes), message)


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'line 1: column 1'),
    (b'{"label": 1,\n "skeletons": [[', 'line 2: column'),
    (b'[' * 200_000, 'nested'),
    (b'{"a":' * 200_000, 'nested'),
    (b'[1]', 'JSON of type list'),
    (b'{"label": 1, "label": 1}', "field 'label' appears twice"),
    (b'{"label": 1, "file_name": "a01_s01_e00_v01", "skeletons": ' + b'9' * 100_000 + b'}', 'field skeletons: inf'),
    (b'{"label": NaN}', 'field label is nan'),
    (b'\n\xff', 'line 2: byte 0xff is not UTF-8'),
])
def test_json_that_is_no_recording(content, message):
    refused(content, message)


def test_no_recording_at_all(tmp_path):
    (tmp_path / 'x.json').write_text('{}')
    with pytest.raises(DataError, match='a01_s01_e00_v01.json'):
        NWUCLAConverter().convert(tmp_path, tmp_path / 'a')


def test_fuzzed_files(tmp_path):
    content = write_json(tmp_path, 'a01_s01_e00_v01', motion(3)[0].round(4), 1)
    check_reader(read_sequence, 'a01_s01_e00_v01.json', content,
                 place=r"line \d+: (column|byte)|field (label|file_name|skeletons|'.*' appears twice)|nested|type")
