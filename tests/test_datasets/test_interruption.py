"""A conversion that is killed leaves nothing or something to go on from, and going on gives the same bytes."""
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets import ArchiveWriter, SkeletonArchive, archive_writer, staging, verify_archive
from mmactclr.datasets.converters import NTUConverter, file_converter
from mmactclr.datasets.converters import ntu as ntu_module
from mmactclr.errors import DataError

from .conftest import LAYOUT, motion
from .test_ntu_converter import NAMES, people, skeleton_text, write_folder

MORE = [f'S003C001P{p:03}R001A{a:03}' for p in range(1, 5) for a in (1, 2)]


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    """13 recordings, one of them damaged and one cut short, that are read two at a time."""
    monkeypatch.setattr(file_converter, '_BATCH', 2)
    write_folder(tmp_path / 'raw', [*NAMES, *MORE])
    (tmp_path / 'raw' / f'{MORE[1]}.skeleton').write_bytes(b'3\nx\n')
    (tmp_path / 'raw' / f'{MORE[2]}.skeleton').write_bytes(skeleton_text(people(6))[:-300])
    return tmp_path / 'raw'


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def killed(run: Callable[[], None], monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int) -> None:
    """Runs in a child that is killed (-9) at the given call of ``owner.name``."""
    inner, calls = getattr(owner, name), 0

    def deadly(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **kwargs)

    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(owner, name, deadly)
            run()
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), f'{name} was not called {call} times'


POINTS = [(ArchiveWriter, 'add', 1), (ArchiveWriter, 'add', 4), (ArchiveWriter, 'add', 11),
          (ArchiveWriter, 'checkpoint', 1), (ArchiveWriter, 'checkpoint', 5), (staging.Staging, 'note', 3),
          (archive_writer.np, 'savez_compressed', 1), (archive_writer, 'file_sha256', 2),
          (staging.Staging, 'publish', 1),
          (staging.os, 'replace', 1), (staging.os, 'replace', 2), (staging.Staging, 'discard', 1),
          (staging.shutil, 'rmtree', 3)]


@pytest.mark.parametrize('replacing', [False, True])
@pytest.mark.parametrize(('owner', 'name', 'call'), POINTS)
def test_kill_and_go_on(source, tmp_path, monkeypatch, owner, name, call, replacing):
    if name == 'replace' and call == 2 and not replacing:
        pytest.skip('there is one renaming where nothing is replaced')
    expected = contents(NTUConverter().convert(source, tmp_path / 'whole', workers=1).path)
    dst = tmp_path / 'out' / 'a'
    if replacing:
        with ArchiveWriter(dst, LAYOUT) as writer:
            writer.add(motion(3))
            writer.finish()
    before = contents(dst) if replacing else None

    def convert() -> SkeletonArchive:
        return NTUConverter().convert(source, dst, overwrite=replacing, workers=1)

    killed(convert, monkeypatch, owner, name, call)
    complete = dst.exists() and contents(dst) == expected
    assert complete or (contents(dst) == before if dst.exists() else not replacing or name == 'replace')
    if not complete or replacing:
        convert()
    assert contents(dst) == expected
    if not complete or replacing:
        assert sorted(path.name for path in dst.parent.iterdir()) == ['a']
    assert verify_archive(dst).ok


def test_files_that_were_read_are_not_read_again(source, tmp_path, monkeypatch):
    killed(lambda: NTUConverter().convert(source, tmp_path / 'a', workers=1), monkeypatch, ArchiveWriter,
           'checkpoint', 4)
    read = []
    original = ntu_module.parse_skeleton
    monkeypatch.setattr(ntu_module, 'parse_skeleton', lambda *arguments: read.append(arguments) or original(*arguments))
    archive = NTUConverter().convert(source, tmp_path / 'a', workers=1)
    assert len(read) == 13 - 6 and len(archive) == 12
    assert sum(map(len, archive.meta['excluded'].values())) == 1 and sum(map(len, archive.meta['notes'].values())) == 1


@pytest.mark.parametrize('change', ['options', 'files', 'lost rows', 'torn journal', 'garbage'])
def test_what_does_not_fit_is_begun_again(source, tmp_path, monkeypatch, change):
    dst = tmp_path / 'a'
    killed(lambda: NTUConverter().convert(source, dst, workers=1), monkeypatch, ArchiveWriter, 'checkpoint', 4)
    partial = tmp_path / '.a.partial'
    journal = partial / 'journal.jsonl'
    options = {}
    if change == 'options':
        options['track'] = 'slot'
    elif change == 'files':
        (source / f'{NAMES[0]}.skeleton').write_bytes(skeleton_text(people(9)))
    elif change == 'lost rows':
        os.truncate(partial / 'archive' / 'keypoints.npy', 200)
    elif change == 'torn journal':
        journal.write_bytes(journal.read_bytes()[:-30])
    else:
        journal.write_bytes(b'\xff\xfe no journal\n{}\n')
    archive = NTUConverter().convert(source, dst, workers=1, **options)
    expected = NTUConverter().convert(source, tmp_path / 'b', workers=1, **options)
    assert contents(archive.path) == contents(expected.path)


def test_the_same_bytes_from_any_number_of_workers(source, tmp_path):
    one = NTUConverter().convert(source, tmp_path / 'one', workers=1)
    assert contents(one.path) == contents(NTUConverter().convert(source, tmp_path / 'three', workers=3).path)


def test_an_interrupt_keeps_what_was_done_and_bad_input_does_not(source, tmp_path, monkeypatch):
    original = ArchiveWriter.checkpoint

    def interrupted(self, done):
        original(self, done)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ArchiveWriter, 'checkpoint', interrupted)
        with pytest.raises(KeyboardInterrupt):
            NTUConverter().convert(source, tmp_path / 'a', workers=1)
    assert (tmp_path / '.a.partial' / 'journal.jsonl').is_file()
    with pytest.raises(DataError, match='line 2'):
        NTUConverter().convert(source, tmp_path / 'b', workers=1, strict=True)
    assert not (tmp_path / '.b.partial').exists()


def test_two_writers_of_one_archive_do_not_mix(tmp_path):
    with ArchiveWriter(tmp_path / 'a', LAYOUT) as first:
        first.add(motion(3))
        with pytest.raises(DataError, match='written by another process'):
            ArchiveWriter(tmp_path / 'a', LAYOUT)
        first.finish()
    assert len(SkeletonArchive.open(tmp_path / 'a')) == 1


def test_a_full_disk_leaves_a_state_to_go_on_from(source, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(archive_writer.np, 'savez_compressed', full)
        with pytest.raises(OSError, match='No space'):
            NTUConverter().convert(source, tmp_path / 'a', workers=1)
    assert not (tmp_path / 'a').exists()
    expected = NTUConverter().convert(source, tmp_path / 'b', workers=1)
    assert contents(NTUConverter().convert(source, tmp_path / 'a', workers=1).path) == contents(expected.path)


@pytest.mark.skipif(sys.platform != 'linux', reason='looks into /proc')
def test_workers_end_with_a_parent_that_was_killed(tmp_path, repo_root):
    folder = tmp_path / 'raw'
    write_folder(folder, MORE[:1])
    for i in range(400):
        shutil.copy(folder / f'{MORE[0]}.skeleton', folder / f'S001C001P001R{i + 100:03}A001.skeleton')
    arguments = ['ntu', folder, tmp_path / 'a', '--workers', 2]
    command = list(map(str, [sys.executable, 'tools/dataset_converters/convert.py', *arguments]))
    process = subprocess.Popen(command, cwd=repo_root, start_new_session=True, stderr=subprocess.DEVNULL)

    def group() -> list[str]:
        found = []
        for path in Path('/proc').iterdir():
            try:
                fields = (path / 'stat').read_text().rpartition(')')[2].split()
            except (OSError, ValueError):
                continue
            if fields[2] == str(process.pid) and fields[0] != 'Z':
                found.append(path.name)
        return found

    deadline = time.monotonic() + 60
    while not (tmp_path / '.a.partial' / 'journal.jsonl').exists() and time.monotonic() < deadline:
        time.sleep(.02)
    process.kill()
    process.wait()
    while group() and time.monotonic() < deadline:
        time.sleep(.1)
    assert not group()
    if not (tmp_path / 'a').exists():
        assert subprocess.run(command, cwd=repo_root, capture_output=True).returncode == 0
    archive = SkeletonArchive.open(tmp_path / 'a')
    assert len(archive) == 401 and np.array_equal(archive.sequence(0), archive.sequence(1))


def test_rows_that_were_lost_are_not_counted_when_it_is_interrupted_again(source, tmp_path, monkeypatch):
    dst = tmp_path / 'a'
    killed(lambda: NTUConverter().convert(source, dst, workers=1), monkeypatch, ArchiveWriter, 'checkpoint', 4)
    os.truncate(tmp_path / '.a.partial' / 'archive' / 'keypoints.npy', 200)
    killed(lambda: NTUConverter().convert(source, dst, workers=1), monkeypatch, ArchiveWriter, 'checkpoint', 3)
    found = contents(NTUConverter().convert(source, dst, workers=1).path)
    assert found == contents(NTUConverter().convert(source, tmp_path / 'b', workers=1).path)


def test_clips_that_were_left_out_take_no_name_whether_interrupted_or_not(tmp_path, monkeypatch):
    """Of two files of one name the first is empty: the second counts, in one go and after going on."""
    monkeypatch.setattr(file_converter, '_BATCH', 2)
    write_folder(tmp_path / 'raw', MORE)
    (tmp_path / 'raw' / f'{MORE[0]}.skeleton').write_bytes(b'1\n0\n')
    write_folder(tmp_path / 'raw' / 'z', MORE[:1])
    killed(lambda: NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a', workers=1), monkeypatch, ArchiveWriter,
           'checkpoint', 2)
    resumed = NTUConverter().convert(tmp_path / 'raw', tmp_path / 'a', workers=1)
    assert contents(resumed.path) == contents(NTUConverter().convert(tmp_path / 'raw', tmp_path / 'b', workers=1).path)
    assert MORE[0] in resumed.column('name').tolist()


def test_a_refused_destination_leaves_an_unfinished_conversion_alone(source, tmp_path, monkeypatch):
    dst = tmp_path / 'a'
    killed(lambda: NTUConverter().convert(source, dst, workers=1), monkeypatch, ArchiveWriter, 'checkpoint', 4)
    dst.mkdir()
    (dst / 'mine.txt').write_text('x')
    with pytest.raises(DataError, match='not only a skeleton archive'):
        NTUConverter().convert(source, dst, workers=1)
    assert (tmp_path / '.a.partial' / 'journal.jsonl').is_file()
    with pytest.raises(DataError, match='not only a skeleton archive'):
        ArchiveWriter(tmp_path / 'raw', LAYOUT)
    assert not (tmp_path / '.raw.partial').exists()
