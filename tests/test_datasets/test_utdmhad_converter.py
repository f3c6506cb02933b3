"""UTD-MHAD: the real sequences written by SciPy come back to the last bit; damaged .mat files are refused."""
import io
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from mmactclr.datasets.converters import FlatConverter, UTDMHADConverter
from mmactclr.datasets.converters.utdmhad import CLASSES, read_recording
from mmactclr.errors import DataError

from .conftest import motion
from .fuzzing import MemoryFile, check_reader

NAME = 'a1_s1_t1_skeleton.mat'


def mat(joints: np.ndarray, compressed: bool = True, **more) -> bytes:
    """(T, 20, 3) as the authors store it."""
    file = io.BytesIO()
    scipy.io.savemat(file, {'d_skel': joints.transpose(1, 2, 0).astype(np.float64), **more}, do_compression=compressed)
    return file.getvalue()


def read(content: bytes) -> np.ndarray:
    (clip,) = read_recording(MemoryFile(Path(NAME), size=len(content), content=content))
    return clip.keypoint


def test_real_data_come_out_as_from_the_flat_file(real_data_dir, tmp_path):
    source = real_data_dir / 'utd_mhad.npz'
    if not source.is_file():
        pytest.skip(f'no real data: {source} does not exist')
    flat = FlatConverter().convert(source, tmp_path / 'flat')
    (tmp_path / 'Skeleton').mkdir()
    for i, name in enumerate(flat.column('name').tolist()):
        (tmp_path / 'Skeleton' / f'{name}_skeleton.mat').write_bytes(mat(flat.sequence(i)[0], compressed=i % 2 == 0))
    archive = UTDMHADConverter().convert(tmp_path / 'Skeleton', tmp_path / 'a', workers=1)
    assert len(archive) == 861 and archive.column('name').tolist() == flat.column('name').tolist()
    assert all(archive.sequence(i).tobytes() == flat.sequence(i).tobytes() for i in range(861))
    for column in ('label', 'subject', 'trial', 'split_xsub'):
        assert np.array_equal(archive.column(column), flat.column(column)), column
    assert archive.classes == flat.classes and archive.layout == flat.layout
    assert archive.meta['splits'] == {'xsub': dict(train=431, test=430)}


def test_a_zip_with_other_files(tmp_path):
    joints = {f'a{a}_s{s}_t{t}': motion(4 + a, seed=a)[0] for a, s, t in [(1, 1, 1), (2, 8, 4), (27, 2, 3), (10, 3, 1)]}
    with zipfile.ZipFile(tmp_path / 'Skeleton.zip', 'w') as file:
        for name, sequence in joints.items():
            file.writestr(f'Skeleton/{name}_skeleton.mat', mat(sequence))
        file.writestr('Skeleton/a1_s1_t1_inertial.mat', mat(motion(2)[0]))
    archive = UTDMHADConverter().convert(tmp_path / 'Skeleton.zip', tmp_path / 'a')
    assert archive.column('name').tolist() == ['a1_s1_t1', 'a2_s8_t4', 'a10_s3_t1', 'a27_s2_t3']
    assert all(np.array_equal(archive.sequence(i)[0], joints[name])
               for i, name in enumerate(archive.column('name').tolist()))
    assert archive.labels.tolist() == [0, 1, 9, 26] and len(set(CLASSES)) == 27
    assert archive.column('split_xsub').tolist() == ['train', 'test', 'train', 'test']
    assert list(archive.meta['excluded'].values()) == [['a1_s1_t1_inertial.mat']]


def test_one_frame_and_single_precision():
    assert np.array_equal(read(mat(motion(1)[0]))[0], motion(1)[0])
    file = io.BytesIO()
    scipy.io.savemat(file, {'d_skel': motion(3)[0].transpose(1, 2, 0)})
    assert np.array_equal(read(file.getvalue())[0], motion(3)[0])


@pytest.mark.parametrize(('content', 'message'), [
    (mat(motion(2)[0])[:100], 'header'),
    (b'\0' * 500, 'header'),
    (b'', 'header'),
    (mat(motion(2)[0])[:-9], 'cut short'),
    (mat(motion(2)[0])[:124] + b'\x00\x02' + mat(motion(2)[0])[126:], 'save it in MATLAB with -v7'),
    (mat(motion(2)[0].repeat(2, 1)), r'shape \(40, 3, 2\)'),
    # the time is in a header
], ids=['header cut', 'zeros', 'empty', 'cut short', 'version 7.3', 'shape'])
def test_files_of_another_kind_are_refused(content, message):
    with pytest.raises(DataError, match=f'{NAME}.*({message})'):
        read(content)


@pytest.mark.parametrize(('value', 'message'), [
    (np.array([[{'a': 1}]], dtype=object), 'class cell'), ('text', 'class char'), ({'code': 1.}, 'class struct'),
    (np.ones((20, 3, 2), np.int32), 'class int32'), (np.ones((20, 3, 2)) * 1j, 'class complex double'),
    (scipy.sparse.eye(20), 'class sparse')])
def test_variables_of_another_kind_are_refused(value, message):
    file = io.BytesIO()
    scipy.io.savemat(file, {'d_skel': value})
    with pytest.raises(DataError, match=message):
        read(file.getvalue())
    # beside a good one they are not even read
    assert np.array_equal(read(mat(motion(2)[0], other=value))[0], motion(2)[0])


@pytest.mark.parametrize('compressed', [True, False])
def test_whole_numbers_in_small_types_are_read_as_scipy_reads_them(compressed):
    joints = np.arange(120).reshape(2, 20, 3) % 7 - 3.
    content = bytearray(mat(joints, False))
    # what MATLAB does, and SciPy does not: the same numbers as int8, in an element of that type
    numbers = joints.transpose(1, 2, 0).astype(np.int8).tobytes(order='F')
    start = content.rindex((9).to_bytes(4, 'little') + (8 * 120).to_bytes(4, 'little'))
    body = bytes(content[136:start]) + (1).to_bytes(4, 'little') + (120).to_bytes(4, 'little') + numbers
    element = (14).to_bytes(4, 'little') + len(body).to_bytes(4, 'little') + body
    if compressed:
        packed = zlib.compress(element)
        element = (15).to_bytes(4, 'little') + len(packed).to_bytes(4, 'little') + packed
    small = bytes(content[:128]) + element
    assert np.array_equal(scipy.io.loadmat(io.BytesIO(small))['d_skel'], joints.transpose(1, 2, 0))
    assert np.array_equal(read(small)[0], joints)


def test_a_missing_variable_is_named():
    file = io.BytesIO()
    scipy.io.savemat(file, {'d_iner': np.ones(3)})
    with pytest.raises(DataError, match="no variable 'd_skel', only .'d_iner'."):
        read(file.getvalue())


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr('mmactclr.datasets.converters.mat_file._MOST_BYTES', 1 << 20)
    header = mat(motion(1)[0])[:128]
    body = zlib.compress(b'\0' * (1 << 26), 9)
    with pytest.raises(DataError, match='unpacks to more'):
        read(header + (15).to_bytes(4, 'little') + len(body).to_bytes(4, 'little') + body)


@pytest.mark.parametrize('compressed', [True, False])
def test_fuzzed_files(compressed):
    check_reader(read_recording, NAME, mat(motion(3)[0], compressed), 1000, place=r'\.mat')


def test_every_byte_of_the_array_header_may_be_wrong():
    """No other error than the one for bad data, and no memory for sizes that only the header has."""
    content = mat(motion(3)[0], compressed=False)
    refused = 0
    tracemalloc.start()
    for at in range(128, 200):
        for value in (0, 1, 3, 6, 9, 14, 15, 17, 18, 127, 128, 255):
            try:
                read(content[:at] + bytes([value]) + content[at + 1:])
            except DataError as error:
                refused += 1
                assert NAME in str(error) and str(error).isprintable()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 300 and peak < 4_000_000


def test_no_recording_at_all(tmp_path):
    (tmp_path / 'x.mat').write_bytes(b'')
    with pytest.raises(DataError, match='a1_s1_t1_skeleton.mat'):
        UTDMHADConverter().convert(tmp_path, tmp_path / 'a')
