"""What the machine does to a training: one line that says what failed, which checkpoint is good and what to do."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.apis import run_test, run_training
from mmactclr.apis.faults import check_writable, explain_faults
from mmactclr.datasets import SkeletonDataset
from mmactclr.engine.checkpoints import find_newest
from mmactclr.errors import ConfigError, DataError, RunError
from mmactclr.registry import HOOKS
from mmactclr.utils.cli import report_errors

MOCO = 'moco_joint_ntu60_xsub'
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@HOOKS.register_module(force=True)
class FaultAt(Hook):
    """Calls ``what`` at one iteration."""

    priority = 'VERY_HIGH'
    at, what = 0, None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Call it."""
        if runner.iter == FaultAt.at:
            FaultAt.what()


@pytest.fixture
def fail_at(tiny_archive, tiny_config, tmp_path, monkeypatch):
    """Trains with something that goes wrong at an iteration; the message."""

    def fail_at(at, what, **options) -> str:
        monkeypatch.setattr(FaultAt, 'at', at)
        monkeypatch.setattr(FaultAt, 'what', staticmethod(what))
        cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **options)
        cfg.custom_hooks.append(dict(type='FaultAt'))
        with pytest.raises(RunError) as error:
            run_training(cfg, tmp_path / 'run')
        return str(error.value)

    return fail_at


def raising(error: BaseException):
    """A function that raises."""
    def fail(*_, **__):
        raise error
    return fail


OOM = 'CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.1 GiB'
KILLED = 'DataLoader worker (pid 4242) is killed by signal: Killed. '
BUS = 'DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that workers are out of shared memory.'


@pytest.mark.parametrize('error, words', [
    (OSError(errno.ENOSPC, 'No space left on device', 'a/b.json'), ["'a/b.json'", 'the disk is full']),
    (OSError(errno.EROFS, 'Read-only file system', 'a'), ['read-only', '--work-dir']),
    (PermissionError(errno.EACCES, 'Permission denied', 'a'), ["'a'", 'permission is denied']),
    (OSError(errno.EIO, 'Input/output error'), ['a file of the run', 'look at its health']),
    (OSError(errno.EMFILE, 'Too many open files', 'x'), ['ulimit -n']),
    (RuntimeError('[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0; PytorchStreamWriter failed '
                  'writing file data/0: file write failed'), ['a checkpoint could not be written', 'disk is full']),
    (torch.OutOfMemoryError(OOM), ['2.50 GiB more', 'train_dataloader.batch_size', '--amp']),
    (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), ['batch_size']),
    (MemoryError(), ['memory of the machine']),
    (RuntimeError(KILLED), ['pid 4242', 'is killed by signal: Killed', 'ran out of memory', 'num_workers=0']),
    (RuntimeError('DataLoader worker (pid(s) 12, 13) exited unexpectedly'), ['12, 13', 'exited unexpectedly']),
    (RuntimeError(BUS), ['Bus error', '--shm-size', 'cut short'])])
def test_faults_of_a_machine_are_explained(error, words, tmp_path):
    with pytest.raises(RunError) as found, explain_faults(tmp_path):
        raise error
    for word in [*words, 'no checkpoint yet', '--resume']:
        assert word in str(found.value), word
    assert found.value.__cause__ is error


LOST = ['[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:5000',
        'Timed out waiting 7200000ms for recv operation to complete',
        'NCCL error: remote process exited or there was a network error, ncclRemoteError']


@pytest.mark.parametrize('text', LOST)
def test_a_lost_process_is_explained_where_there_are_several(text, tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match='') as found, explain_faults(tmp_path):
        raise RuntimeError(text)
    assert not isinstance(found.value, RunError)
    monkeypatch.setenv('WORLD_SIZE', '4')
    monkeypatch.setenv('RANK', '2')
    for error in (RuntimeError(text), torch.distributed.DistBackendError('whatever it says')):
        with pytest.raises(RunError, match=r'process 2 of 4 \(counted from 0\) lost the others.*--resume'), \
                explain_faults(tmp_path):
            raise error


@pytest.mark.parametrize('error', [
    RuntimeError('mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)'), FileNotFoundError(2, 'none', 'x'),
    ConfigError('stays'), RunError('stays'), KeyError('x')])
def test_other_errors_pass_as_they_are(error, tmp_path):
    with pytest.raises(type(error)) as found, explain_faults(tmp_path):
        raise error
    assert found.value is error


def test_a_full_disk_leaves_the_last_good_checkpoint(fail_at, tmp_path, monkeypatch):
    """The first checkpoint is written, then nothing more can be brought to the disk."""
    from mmactclr.engine.checkpoints import writing

    def fill() -> None:
        monkeypatch.setattr(writing.os, 'fsync', raising(OSError(errno.ENOSPC, 'No space left on device')))

    message = fail_at(4, fill)
    assert 'epoch_2.pth' in message and 'No space left' in message and '--resume' in message
    assert find_newest(tmp_path / 'run') == tmp_path / 'run' / 'epoch_1.pth'
    assert sorted(path.name for path in (tmp_path / 'run').glob('*.pth*')) == ['epoch_1.pth']


def test_a_fault_in_a_hook_names_the_checkpoint(fail_at, tmp_path):
    message = fail_at(4, raising(OSError(errno.EROFS, 'Read-only file system', 'x.json')))
    assert str(tmp_path / 'run' / 'epoch_1.pth') in message and "'x.json'" in message


# a process of its own: where the signal of a child that died interrupts it is up to chance
KILLS = """
import multiprocessing, os, signal, sys
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmactclr.apis import run_test, run_training
from mmactclr.registry import HOOKS
from mmactclr.utils.cli import report_errors

@HOOKS.register_module()
class Killer(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 10:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

cfg = Config.fromfile(sys.argv[1])
cfg.custom_hooks.append(dict(type='Killer'))
with report_errors():
    run_training(cfg, 'run')
"""


def test_a_loader_process_that_is_killed_is_noticed(tiny_archive, tiny_config, tmp_path):
    tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{
        'train_dataloader.num_workers': 1, 'train_dataloader.batch_size': 2}).dump(tmp_path / 'config.py')
    done = subprocess.run([sys.executable, '-c', KILLS, 'config.py'], cwd=tmp_path, capture_output=True, text=True,
                          timeout=120, env=dict(os.environ, CUDA_VISIBLE_DEVICES=''))
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    for words in ('error: a loader process', 'num_workers=0', 'run/epoch_1.pth', '--resume'):
        assert words in last, words


def test_what_a_loader_process_says_of_the_data_comes_without_its_traceback(
        tiny_archive, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(SkeletonDataset, '__getitems__', raising(DataError('clip7 cannot be read: convert it again')))
    cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{'train_dataloader.num_workers': 1})
    # what is looked at before training is fine
    monkeypatch.setattr('mmactclr.apis.run.check_data_fits', lambda runner: runner.train_dataloader)
    with pytest.raises(DataError, match=r'^clip7 cannot be read: convert it again \(in loader process 0\)$'):
        run_training(cfg, tmp_path / 'run')


def test_data_that_cannot_be_read_are_explained(tiny_archive, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(SkeletonDataset, '__getitems__', raising(OSError(errno.EIO, 'Input/output error', 'k.npy')))
    with pytest.raises(RunError, match=r"'k.npy': the disk cannot be read"):
        run_training(tiny_config(tiny_archive, MOCO, **NO_VALIDATION), tmp_path / 'run')


def test_a_work_dir_that_cannot_be_written_is_found_before_the_data_are_read(tiny_config, tmp_path, monkeypatch):
    cfg = tiny_config(tmp_path / 'no data here', MOCO)
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(RunError, match=r"file/run' cannot be written.*take another --work-dir. Nothing was trained"):
        run_training(cfg, tmp_path / 'file' / 'run')
    monkeypatch.setattr(Path, 'mkdir', raising(OSError(errno.EROFS, 'Read-only file system')))
    with pytest.raises(RunError, match='the disk is read-only'):
        run_training(cfg, tmp_path / 'run')


@pytest.mark.parametrize('number, words', [(errno.ENOSPC, 'the disk is full'), (errno.EDQUOT, 'quota')])
def test_a_disk_that_is_full_already_is_found_and_nothing_stays(number, words, tmp_path, monkeypatch):
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(os, 'fsync', raising(OSError(number, 'no')))
    with pytest.raises(RunError, match=words):
        check_writable(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def test(tiny_archive, tiny_config, tmp_path):
    """Tests a checkpoint that is never reached; the message."""
    torch.save({'state_dict': {'w': torch.ones(1)}}, tmp_path / 'some.pth')

    def test() -> str:
        with pytest.raises(RunError) as error:
            run_test(tiny_config(tiny_archive, MOCO), tmp_path / 'some.pth', tmp_path / 'tested')
        return str(error.value)

    return test


def test_a_test_on_a_full_disk_does_not_blame_the_config(test, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', raising(OSError(errno.ENOSPC, 'No space left on device')))
        assert "tested' cannot be written: the disk is full; make room. Nothing was tested" in test()
    monkeypatch.setattr(Runner, 'build_logger', raising(OSError(errno.ENOSPC, 'No space left on device', 'a.log')))
    message = test()
    assert message.startswith("'a.log': the disk is full; make room. Nothing was trained")
    assert '--resume' not in message and 'correct the field' not in message


@pytest.mark.parametrize('error, words', [
    (MemoryError(), 'memory of the machine'), (RuntimeError(KILLED), 'test_dataloader.num_workers=0'),
    (OSError(errno.EIO, 'Input/output error', 'k.npy'), "'k.npy': the disk cannot be read")])
def test_a_machine_that_fails_a_test_is_no_mistake_of_the_config(test, error, words, monkeypatch):
    monkeypatch.setattr(Runner, 'build_model', raising(error))
    message = test()
    assert words in message and 'train_dataloader' not in message and '--resume' not in message


def test_a_file_that_a_config_names_wrongly_is_a_mistake_of_the_config(
        tiny_archive, tiny_config, tmp_path, monkeypatch):
    def build_model(self, model):
        raise FileNotFoundError(2, 'No such file', 'layout.json')

    monkeypatch.setattr(Runner, 'build_model', build_model)
    # the name by which the field is found
    build_model.__code__ = build_model.__code__.replace(co_filename='runner.py')
    with pytest.raises(ConfigError, match=r'field model.*layout.json.*correct the field'):
        run_training(tiny_config(tiny_archive, MOCO), tmp_path / 'run')


def test_a_user_sees_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended, report_errors(), explain_faults(tmp_path):
        raise OSError(errno.ENOSPC, 'No space left on device', 'a')
    assert ended.value.code == 1 and len(capsys.readouterr().err.strip().splitlines()) == 1


# keeps hold of the loader, as an exception's traceback and a notebook do
KEEPS = """
import sys
from mmengine.config import Config
from mmactclr.apis import run_test, run_training
runner = run_training(Config.fromfile(sys.argv[1]), 'run')
"""


def test_a_process_that_keeps_its_loader_processes_ends(tiny_archive, tiny_config, tmp_path):
    """They ignore SIGTERM, which Python sends at its end before it waits for them."""
    cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{
        'train_dataloader.num_workers': 1, 'train_dataloader.persistent_workers': True, 'train_cfg.max_epochs': 1})
    cfg.dump(tmp_path / 'config.py')
    done = subprocess.run([sys.executable, '-c', KEEPS, 'config.py'], cwd=tmp_path, capture_output=True, text=True,
                          timeout=120, env=dict(os.environ, CUDA_VISIBLE_DEVICES=''))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()
