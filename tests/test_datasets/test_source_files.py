"""Where recordings lie: folders, zips, odd names, damaged containers."""
import io
import zipfile

import numpy as np
import pytest

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.converters import NTUConverter, find_files, source_files
from mmactclr.errors import DataError

from .fuzzing import mutations
from .test_ntu_converter import people, skeleton_text

NAME = 'S001C002P003R002A013'


def test_natural_order_hidden_files_and_case(tmp_path):
    for name in ('take10.txt', 'take2.TXT', '.take1.txt', '._take3.txt', 'notes.md'):
        (tmp_path / name).write_text('x')
    (tmp_path / 'below').mkdir()
    (tmp_path / 'below' / 'take3.txt').write_text('abc')
    found = find_files(tmp_path, '*.txt')
    assert [file.name for file in found] == ['take2.TXT', 'take3.txt', 'take10.txt']
    assert found[1].read() == b'abc' and found[1].folders[-1] == 'below' and found[1].size == 3


def test_a_single_file_is_taken_whatever_its_name(tmp_path):
    (tmp_path / 'motion.dat').write_bytes(skeleton_text(people()))
    assert len(NTUConverter().convert(tmp_path / 'motion.dat', tmp_path / 'a')) == 1


def test_zips_below_a_folder_are_searched(tmp_path):
    (tmp_path / 'deep').mkdir()
    with zipfile.ZipFile(tmp_path / 'deep' / 'one.ZIP', 'w') as file:
        file.writestr('a\\b/take1.txt', 'one')
        file.writestr('__MACOSX/._take1.txt', 'resource')
        file.writestr('a/', '')
    (found,) = find_files(tmp_path, '*.txt')
    assert found.read() == b'one' and found.stem == 'take1' and str(found).startswith(str(tmp_path / 'deep'))


def test_a_member_larger_than_any_recording_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(source_files, 'MAX_BYTES', 1000)
    with zipfile.ZipFile(tmp_path / 'bomb.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('take.txt', b'0' * 1001)
    (found,) = find_files(tmp_path, '*.txt')
    with pytest.raises(DataError, match='bomb.zip/take.txt: 1001 bytes'):
        found.read()


def test_encrypted_members_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as file:
        file.writestr(f'{NAME}.skeleton', skeleton_text(people()))
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    data[6] |= 1  # the flag, in the header of the member and in the directory
    data[data.index(b'PK\x01\x02') + 8] |= 1
    (tmp_path / 'a.zip').write_bytes(bytes(data))
    with pytest.raises(DataError, match=rf'a.zip/{NAME}.skeleton cannot be read.*encrypted'):
        NTUConverter().convert(tmp_path / 'a.zip', tmp_path / 'b', strict=True)


def test_damaged_zips_give_an_archive_or_a_message_and_leave_nothing(tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr(f'folder/{NAME}.skeleton', skeleton_text(people()))
        file.writestr('S002C001P001R001A001.skeleton', skeleton_text(people(5, 1)))
    refused = 0
    for i, data in enumerate(mutations(whole.getvalue(), 300)):
        (tmp_path / f'{i}.zip').write_bytes(data)
        try:
            archive = NTUConverter().convert(tmp_path / f'{i}.zip', tmp_path / 'a', overwrite=True, workers=1)
            assert len(archive) in (1, 2)
        except DataError as error:
            refused += 1
            assert f'{i}.zip' in str(error) or 'none of' in str(error)
        assert {path.name for path in tmp_path.iterdir()} <= {'a', *(f'{k}.zip' for k in range(i + 1))}
    assert refused > 60


def test_damaged_files_among_good_ones_never_stop_a_conversion(tmp_path):
    """Whole conversions: what is damaged is left out and named, the rest comes back exactly."""
    good = people(6, 2)
    content = skeleton_text(people(3))
    raw = tmp_path / 'raw'
    raw.mkdir()
    (raw / f'{NAME}.skeleton').write_bytes(skeleton_text(good))
    for i, data in enumerate(mutations(content, 400, seed=1)):
        (raw / f'S003C001P{i // 60 + 1:03}R001A{i % 60 + 1:03}.skeleton').write_bytes(data)
    archive = NTUConverter().convert(raw, tmp_path / 'a', workers=2)
    at = archive.column('name').tolist().index(NAME)
    assert np.array_equal(archive.sequence(at), good)
    left_out = [name for names in archive.meta['excluded'].values() for name in names]
    assert len(left_out) + len(archive) == 401 and len(left_out) > 100
    for name in archive.meta['excluded']['the file is damaged']:
        assert 'skeleton, line ' in name
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'raw']
    assert np.isfinite(np.concatenate([SkeletonArchive.open(tmp_path / 'a').sequence(i).ravel() for i in range(
        len(archive))])).all()


def test_a_zip_is_read_by_several_processes_without_losing_a_file(tmp_path):
    content = skeleton_text(people(4))
    with zipfile.ZipFile(tmp_path / 'ntu.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        for i in range(300):
            file.writestr(f'S001C001P{i // 60 + 1:03}R001A{i % 60 + 1:03}.skeleton', content)
    one = NTUConverter().convert(tmp_path / 'ntu.zip', tmp_path / 'one', workers=1)
    four = NTUConverter().convert(tmp_path / 'ntu.zip', tmp_path / 'four', workers=4)
    assert len(one) == len(four) == 300 and one.checksum == four.checksum


def test_archives_and_unfinished_ones_below_the_source_are_no_recordings(tmp_path):
    (tmp_path / f'{NAME}.skeleton').write_bytes(skeleton_text(people()))
    NTUConverter().convert(tmp_path, tmp_path / 'out')
    (tmp_path / 'out' / 'S002C001P001R001A001.skeleton').write_bytes(b'1\n0\n')
    (tmp_path / '.x.partial').mkdir()
    (tmp_path / '.x.partial' / 'S002C001P001R001A001.skeleton').write_bytes(b'1\n0\n')
    assert [file.stem for file in find_files(tmp_path, '*.skeleton')] == [NAME]


def test_digits_of_other_scripts_are_text():
    assert sorted(['b2', '\u00b2', '\u0663', 'wave', 'b10'], key=source_files.natural_key)[:2] == ['b2', 'b10']
