"""NTU RGB+D: files of an independent writer come back exactly, damaged ones are named."""
import gzip
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets.converters import NTUConverter
from mmactclr.datasets.converters.ntu import read_skeleton
from mmactclr.datasets.converters.ntu_bodies import persons_of
from mmactclr.datasets.converters.ntu_skeleton import FEWER_FRAMES, MORE_LINES, parse_skeleton
from mmactclr.datasets.ntu_protocols import STANDARD_SIZES, SampleName, ntu_splits
from mmactclr.datasets.splits import split_counts
from mmactclr.errors import ConfigError, DataError

from .conftest import motion
from .fuzzing import check_reader


def skeleton_text(persons: np.ndarray, ids: tuple[str, ...] = ('72057594037931101', '72057594037931102'),
                  order: list[list[int]] | None = None, end: str = '\n') -> bytes:
    """Writes (M, T, 25, 3) as NTU's authors do: repr digits, so that float32 comes back to the last bit.

    ``order`` says which persons every frame lists, and in which order; all that are not zero by default.
    """
    lines = [str(persons.shape[1])]
    for t in range(persons.shape[1]):
        listed = [m for m in range(len(persons)) if persons[m, t].any()] if order is None else order[t]
        lines.append(str(len(listed)))
        for m in listed:
            lines += [f'{ids[m]} 0 1 1 1 1 0 0.02764709 0.05745083 2', '25']
            lines += [' '.join([*(repr(float(x)) for x in joint), '277.2 191.4 1036.2 519.2 -0.2 -0.05 -0.01 0.97 2'])
                      for joint in persons[m, t]]
    return (end.join(lines) + end).encode()


def people(frames: int = 12, persons: int = 2, seed: int = 0) -> np.ndarray:
    return motion(frames, persons, seed, joints=25)


def parse(content: bytes, **options) -> np.ndarray:
    return persons_of(parse_skeleton(content), **options)[0]


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('persons', [1, 2])
def test_files_come_back_exactly(persons, end):
    written = people(persons=persons)
    assert np.array_equal(parse(skeleton_text(written, end=end)), written)


def test_tracking_gaps_stay_zero():
    written = people()
    written[0, 3:6] = 0
    written[1, :2] = 0
    written[1, 9:] = 0
    written[:, 5] = 0
    assert np.array_equal(parse(skeleton_text(written)), written)


def test_bodies_that_change_places_stay_who_they_are():
    written = people()
    order = [[0, 1] if t % 3 else [1, 0] for t in range(1, 13)]
    assert np.array_equal(parse(skeleton_text(written, order=order)), written)
    slots = parse(skeleton_text(written, order=order), track='slot')
    assert np.array_equal(slots[0, 2], written[1, 2]) and np.array_equal(slots[1, 2], written[0, 2])


def test_a_lost_person_goes_on_under_a_new_id():
    written = people(persons=3)
    written[0, 6:] = 0
    written[2, :8] = 0
    found = parse(skeleton_text(written, ids=('1', '2', '3')))
    expected = written[:2].copy()
    expected[0, 8:] = written[2, 8:]
    assert np.array_equal(found, expected)


def test_a_third_body_is_left_out_and_the_order_can_be_chosen():
    written = people(persons=3)
    written[0] *= .3
    written[2] *= 3
    content = skeleton_text(written, ids=('1', '2', '3'))
    assert np.array_equal(parse(content), written[:2])
    assert np.array_equal(parse(content, order='motion'), written[[2, 1]])
    assert np.array_equal(parse(content, order='energy'), written[[2, 1]])
    assert np.array_equal(parse(content, max_persons=3), written)


def test_energy_and_motion_are_the_published_sums():
    from mmactclr.datasets.converters.ntu_bodies import _energy, _motion
    joints = people(persons=1)[0].astype(np.float64)
    flat = [[joints[t, v, c] for t in range(12) for v in range(25)] for c in range(3)]
    variances = [sum((x - sum(axis) / 300) ** 2 for x in axis) / 300 for axis in flat]
    assert _motion(joints) == pytest.approx(sum(variances))
    assert _energy(np.concatenate([joints, np.zeros((4, 25, 3))])) == pytest.approx(sum(v ** .5 for v in variances))


def test_noise_is_left_out():
    written = people(20, persons=3)
    written *= .1
    written[..., 1] += np.linspace(-2, 2, 25)      # tall
    written[1, 11:] = 0                            # 11 frames are too few
    written[2, :, :, 0] += np.linspace(-5, 5, 25)  # wider than high
    content = skeleton_text(written, ids=('1', '2', '3'))
    assert np.array_equal(parse(content, denoise=True), written[:1])
    written[2, :7, :, 0] -= np.linspace(-5, 5, 25, dtype=np.float32)  # 13 of 20 frames too wide: below the share
    assert len(parse(skeleton_text(written, ids=('1', '2', '3')), denoise=True)) == 2


def test_noise_alone_is_kept():
    written = people(5, persons=2)
    assert np.array_equal(parse(skeleton_text(written), denoise=True), written)


@pytest.mark.parametrize('cut', ['frame', 'body', 'row', 'number', 'before the count', 'in the id'])
def test_a_file_that_ends_early_is_kept_up_to_its_last_whole_frame(cut):
    written = people(6)
    content = skeleton_text(written)
    lines = content.split(b'\n')
    frame = 1 + 2 * 27
    keep = {'frame': 1 + 4 * frame, 'body': 1 + 4 * frame + 28, 'row': 1 + 4 * frame + 40, 'number': 1 + 4 * frame + 55,
            'before the count': 1 + 4 * frame + 2, 'in the id': 1 + 4 * frame + 1}[cut]
    content = b'\n'.join(lines[:keep])
    if cut == 'number':
        content = content[:-60]
    elif cut == 'in the id':
        content += b'\n7205'
    seen = parse_skeleton(content)
    assert seen.notes == (FEWER_FRAMES,)
    assert np.array_equal(persons_of(seen)[0], written[:, :4])


@pytest.mark.parametrize('length', range(1, 60))
def test_every_cut_of_the_last_lines_gives_whole_frames(length):
    written = people(3, persons=1)
    content = skeleton_text(written)[:-length]
    seen = parse_skeleton(content)
    whole = 3 if content.endswith(b'2') and len(content.split(b'\n')[-1].split()) == 12 else 2
    assert np.array_equal(persons_of(seen)[0], written[:, :whole])


def test_text_after_the_last_frame_is_ignored_and_noted():
    content = skeleton_text(people(4))
    assert parse_skeleton(content + b'\n \n').notes == ()
    assert parse_skeleton(content + b'1\nmore').notes == (MORE_LINES,)


@pytest.mark.parametrize(('line', 'text', 'message'), [
    (1, b'-3', r"line 1: '-3', expected the number of frames"),
    (1, b'99999999999999999999', 'line 1'),
    (2, b'two', r"line 2: 'two', expected the number of bodies"),
    (2, b'1000000', 'line 2.*from 0 to 10'),
    (4, b'24', r"line 4: '24', expected 25"),
    (5, b'0.1 nan 0.3 1 1 1 1 1 1 1 1 2', 'line 5.*expected a joint'),
    (29, b'0.1 1e39 0.3', 'line 29'),
    (17, b'0.1 0.2', 'line 17'),
    (17, b'', 'line 17'),
    (3, b'', 'line 3: an empty line'),
    (9, b'0.1 0,2 0.3 4', 'line 9'),
    (9, b'\xd9\xa1 1 1', 'line 9'),
])
def test_wrong_lines_are_named(line, text, message):
    lines = skeleton_text(people(5, 1)).split(b'\n')
    lines[line - 1] = text
    with pytest.raises(DataError, match=f'a.skeleton, {message}'):
        parse_skeleton(b'\n'.join(lines), 'a.skeleton')


def test_fuzzed_files():
    read = partial(read_skeleton, num_classes=60)
    check_reader(read, 'S001C002P003R002A013.skeleton', skeleton_text(people(4)))


def write_folder(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for i, name in enumerate(names):
        written[name] = people(4 + i % 5, 1 + i % 2, seed=i)
        (folder / f'{name}.skeleton').write_bytes(skeleton_text(written[name], end='\r\n' if i % 3 else '\n'))
    return written


NAMES = [f'S{s:03}C{c:03}P{p:03}R{r:03}A{a:03}' for s, c, p, r, a in
         [(1, 1, 1, 1, 1), (1, 2, 3, 2, 60), (17, 3, 8, 1, 13), (2, 2, 40, 1, 7), (5, 1, 19, 2, 59)]]


@pytest.mark.parametrize('workers', [1, 2])
def test_a_folder_becomes_an_archive(tmp_path, workers, monkeypatch):
    monkeypatch.setattr('mmactclr.datasets.converters.file_converter._BATCH', 2)
    written = write_folder(tmp_path / 'raw', NAMES)
    archive = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a', workers=workers)
    assert archive.column('name').tolist() == sorted(NAMES)
    for i, name in enumerate(archive.column('name')):
        assert np.array_equal(archive.sequence(i), written[name])
        parsed = SampleName.parse(name)
        for field in ('setup', 'camera', 'subject', 'replication'):
            assert archive.column(field)[i] == getattr(parsed, field)
        assert archive.labels[i] == parsed.action - 1
    assert archive.split_names == ('xsub', 'xview') and len(archive.classes) == 60
    assert archive.layout.name == 'ntu25' and archive.meta['fps'] == 30


def test_zips_and_folders_give_the_same_bytes(tmp_path):
    write_folder(tmp_path / 'raw', NAMES)
    plain = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    deep = '/'.join(['../very', 'deep'] * 40)
    with zipfile.ZipFile(tmp_path / 'one.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        for name in NAMES[:3]:
            file.write(tmp_path / 'raw' / f'{name}.skeleton', f'{deep}/nturgb+d_skeletons/{name}.skeleton')
    (tmp_path / 'both').mkdir()
    (tmp_path / 'one.zip').rename(tmp_path / 'both' / 'one.zip')
    for name in NAMES[3:]:
        (tmp_path / 'raw' / f'{name}.skeleton').rename(tmp_path / 'both' / f'{name}.skeleton')
    assert NTUConverter().convert(tmp_path / 'both', tmp_path / 'b').checksum == plain.checksum


def test_damaged_files_are_left_out_and_named(tmp_path, caplog):
    write_folder(tmp_path / 'raw', NAMES)
    (tmp_path / 'raw' / f'{NAMES[0]}.skeleton').write_bytes(b'3\nx\n')
    content = skeleton_text(people(6))
    (tmp_path / 'raw' / f'{NAMES[1]}.skeleton').write_bytes(content[:len(content) // 2])
    (tmp_path / 'raw' / f'{NAMES[2]}.skeleton').write_bytes(b'2\n0\n0\n')
    archive = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert len(archive) == 3
    (damage,) = archive.meta['excluded']['the file is damaged']
    assert f'{NAMES[0]}.skeleton, line 2' in damage
    assert archive.meta['excluded']['nobody in any frame'] == [NAMES[2]]
    assert archive.meta['notes'] == {FEWER_FRAMES: [NAMES[1]]}
    with pytest.raises(DataError, match='line 2'):
        NTUConverter().convert(tmp_path / 'raw', tmp_path / 'b', strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'raw']


def test_lists_of_missing_skeletons_are_left_out(tmp_path):
    write_folder(tmp_path / 'raw', NAMES)
    (tmp_path / 'missing.txt').write_text(f'samples with missing skeletons\n{NAMES[1]}\r\n{NAMES[4]}.skeleton\n')
    archive = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a', missing=[tmp_path / 'missing.txt'])
    assert set(archive.column('name')) == {NAMES[0], NAMES[2], NAMES[3]}
    assert len(archive.meta['excluded']['on the list of recordings with missing skeletons']) == 2
    (tmp_path / 'missing.txt').write_text('nothing\n')
    with pytest.raises(DataError, match='holds no sample name'):
        NTUConverter().convert(tmp_path / 'raw', tmp_path / 'b', missing=[tmp_path / 'missing.txt'])


def test_120_is_recognised_and_60_can_be_chosen_of_it(tmp_path):
    write_folder(tmp_path / 'raw', [*NAMES, 'S018C001P045R001A061', 'S032C003P046R002A120'])
    archive = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert len(archive) == 7 and len(archive.classes) == 120 and archive.split_names == ('xsub', 'xset')
    archive = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'b', dataset='ntu60')
    assert len(archive) == 5 and len(archive.classes) == 60


def test_other_names_give_an_archive_without_labels(tmp_path):
    write_folder(tmp_path / 'raw', ['kitchen_1', 'kitchen_2'])
    archive = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.column('name').tolist() == ['kitchen_1', 'kitchen_2'] and archive.classes == ()


def test_empty_frames_can_be_cut_out(tmp_path):
    written = people(8)
    written[:, 2:4] = 0
    (tmp_path / f'{NAMES[0]}.skeleton').write_bytes(skeleton_text(written))
    archive = NTUConverter().convert(tmp_path, tmp_path / 'a', drop_empty_frames=True)
    assert np.array_equal(archive.sequence(0), np.delete(written, [2, 3], axis=1))
    assert list(archive.meta['notes'].values()) == [[NAMES[0]]]


def test_wrong_options_and_sources(tmp_path):
    with pytest.raises(DataError, match='does not exist'):
        NTUConverter().convert(tmp_path / 'none', tmp_path / 'a')
    with pytest.raises(DataError, match='holds no file'):
        NTUConverter().convert(tmp_path, tmp_path / 'a')
    write_folder(tmp_path / 'raw', NAMES)
    with pytest.raises(ConfigError, match='track'):
        NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a', track='name')
    (tmp_path / 'broken.zip').write_bytes(b'PK\x03\x04 not really')
    with pytest.raises(DataError, match='broken.zip'):
        NTUConverter().convert(tmp_path / 'broken.zip', tmp_path / 'a')


@pytest.mark.parametrize(('dataset', 'split'), STANDARD_SIZES)
def test_split_sizes_are_the_standard_ones(shared_dir, dataset, split):
    """From the names of all usable recordings of the data set."""
    text = gzip.decompress((shared_dir / 'data' / 'ntu_lists' / f'{dataset}_available.txt.gz').read_bytes()).decode()
    names = [SampleName.parse(line) for line in text.split()]
    missing = (shared_dir / 'data' / 'ntu_lists' / f'{dataset}_missing.txt').read_text().split()
    assert not {SampleName.parse(name) for name in missing} & set(names)
    columns = {field: np.array([getattr(name, field) for name in names]) for field in SampleName._fields}
    parts = split_counts(ntu_splits(dataset, columns)[split])
    assert (parts['train'], parts['test']) == STANDARD_SIZES[dataset, split]
