"""Which checkpoint of a folder a run goes on from."""
import os
import zipfile
from pathlib import Path

import pytest
import torch

from mmactclr.engine.checkpoints import find_newest
from mmactclr.engine.checkpoints.newest import aside_of, remove_leftovers
from mmactclr.errors import DataError


def write(path: Path, epoch: int, step: int, session: float | None = None) -> Path:
    meta = dict(epoch=epoch, iter=step, **({} if session is None else {'session': session}))
    torch.save({'meta': meta, 'message_hub': {}, 'optimizer': {}, 'state_dict': {'w': torch.arange(5000.)}}, path)
    return path


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What was logged."""
    lines: list[str] = []
    monkeypatch.setattr('mmactclr.engine.checkpoints.newest.print_log', lambda text, **_: lines.append(text))
    return lines


def test_there_is_none(tmp_path):
    assert find_newest(tmp_path) is None and find_newest(tmp_path / 'missing') is None
    torch.save({'state_dict': {'w': torch.ones(1)}}, tmp_path / 'encoder.pth')
    torch.save({'meta': dict(epoch=5, iter=50), 'message_hub': {}, 'state_dict': {}}, tmp_path / 'best_knn.pth')
    assert find_newest(tmp_path) is None


def test_what_a_run_had_done_is_not_done_again_silently(tmp_path):
    (tmp_path / 'new').mkdir()
    (tmp_path / 'new' / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    with pytest.raises(DataError, match='new.* holds no checkpoint.*epoch_3.pth. does not exist.*To start anew remove'):
        find_newest(tmp_path / 'new')
    there = write(tmp_path / 'epoch_3.pth', 3, 30)
    assert find_newest(tmp_path / 'new') == there


def test_progress_decides_not_name_or_time_of_the_file(tmp_path):
    write(tmp_path / 'epoch_9.pth', 9, 90)
    newest = write(tmp_path / 'iter_105.pth', 10, 105)
    old = write(tmp_path / 'epoch_10.pth', 10, 100)
    os.utime(newest, (1, 1))
    os.utime(old, (9e9, 9e9))
    assert find_newest(tmp_path) == newest


def test_a_run_that_went_on_from_an_older_file_is_newer(tmp_path):
    write(tmp_path / 'epoch_20.pth', 20, 200, 1000.)
    again = write(tmp_path / 'epoch_12.pth', 12, 120, 2000.)
    assert find_newest(tmp_path) == again


@pytest.mark.parametrize('damage', ['cut', 'bit', 'empty', 'code', 'text', 'packed'])
def test_a_damaged_one_is_left_out_and_named(tmp_path, said, damage, monkeypatch):
    load = torch.load
    good, bad = write(tmp_path / 'epoch_1.pth', 1, 10), write(tmp_path / 'epoch_2.pth', 2, 20)
    content = bytearray(bad.read_bytes())
    if damage == 'bit':
        # inside the numbers, where nothing but the checksum notices
        content[content.find(torch.arange(5000.).numpy().tobytes()[4000:4100]) + 50] ^= 1
    bad.write_bytes({'cut': content[:len(content) // 2], 'bit': content, 'empty': b'', 'text': b'epoch 2'}.get(
        damage, content))
    if damage == 'code':
        torch.save({'meta': dict(epoch=2, iter=20), 'code': os.system}, bad)
    if damage == 'packed':
        # a few bytes that unpack to many; nothing may try
        with zipfile.ZipFile(bad, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('archive/data.pkl', bytes(10 ** 7))
        monkeypatch.setattr(torch, 'load', lambda path, **kwargs: load(path, **kwargs) if path == good else 1 / 0)
    assert find_newest(tmp_path) == good
    assert damage != 'packed' or 'is a packed archive' in said[0]
    assert len(said) == 1 and 'epoch_2.pth' in said[0] and 'damaged' in said[0]
    good.write_bytes(good.read_bytes()[:1000])
    with pytest.raises(DataError, match='all checkpoints.*epoch_1.pth.*epoch_2.pth.*start anew'):
        find_newest(tmp_path)


@pytest.mark.parametrize('content', [b'\xff\xfe\0', b'x' * 5000, b'a\0b.pth', b''])
def test_a_damaged_note_of_the_newest_is_named(tmp_path, content):
    (tmp_path / 'last_checkpoint').write_bytes(content)
    with pytest.raises(DataError, match='holds no checkpoint to go on from.*last_checkpoint names.*remove') as error:
        find_newest(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize('session', [10 ** 400, float('inf'), float('nan'), -5., 'x', True])
def test_a_time_that_no_clock_shows_makes_a_file_no_newer(tmp_path, session):
    newest = write(tmp_path / 'epoch_1.pth', 1, 10, 1000.)
    write(tmp_path / 'epoch_2.pth', 2, 20, session)
    assert find_newest(tmp_path) == newest


def test_leftovers_are_removed_unless_somebody_may_be_writing_them(tmp_path, said):
    good, host = write(tmp_path / 'epoch_1.pth', 1, 10), aside_of(tmp_path / 'x').name.split('partial-')[1]
    host = host.removesuffix(f'-{os.getpid()}')
    assert host
    gone = tmp_path / f'.epoch_2.pth.partial-{host}-4194304'
    # a process that runs, one of another machine, and one of which the machine is not known
    kept = [tmp_path / f'.epoch_2.pth.partial-{name}' for name in (
        f'{host}-{os.getppid()}', 'other-node-4194304', '4194304')]
    for path in (gone, *kept):
        path.write_bytes(b'half')
    assert find_newest(tmp_path) == good and gone.exists(), 'looking changes nothing'
    remove_leftovers(tmp_path)
    assert not gone.exists() and all(path.exists() for path in kept) and len(said) == 1
    for path in kept:
        os.utime(path, (1, 1))
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [good.name]
