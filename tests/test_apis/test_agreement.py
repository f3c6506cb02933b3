"""Processes that would not begin at the same place are refused, all of them."""
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mmactclr.apis import agreement, launching, run_training
from mmactclr.apis.agreement import begin_together
from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import load_config

NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


def test_a_checkpoint_that_only_one_process_sees_ends_both(tiny_archive, tiny_config, tmp_path, repo_root):
    """Two processes over gloo, each with a disk of its own under the same name."""
    cfg = tiny_config(tiny_archive, 'moco_joint_ntu60_xsub', **NO_VALIDATION, **{'train_cfg.max_epochs': 1})
    cfg.dump(tmp_path / 'config.py')
    run_training(cfg, tmp_path / 'written')
    folders = [tmp_path / name for name in ('first', 'second')]
    for folder in folders:
        (folder / 'run').mkdir(parents=True)
    shutil.copy(tmp_path / 'written' / 'epoch_1.pth', folders[0] / 'run')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    processes = [subprocess.Popen(
        [sys.executable, repo_root / 'tools' / 'train.py', tmp_path / 'config.py', '--work-dir', 'run', '--resume',
         '--launcher', 'pytorch', '--cfg-options', 'train_cfg.max_epochs=2'],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(
            os.environ, PYTHONPATH=str(repo_root), CUDA_VISIBLE_DEVICES='', RANK=str(rank), LOCAL_RANK=str(rank),
            WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)) for rank, folder in enumerate(folders)]
    try:
        said = [process.communicate(timeout=90)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for rank, (process, text) in enumerate(zip(processes, said, strict=True)):
        line, = (line for line in text.splitlines() if line.startswith('error: '))
        assert process.returncode == 1 and 'Traceback' not in text
        assert f'process {rank} of 2' in line and 'process 0: from run/epoch_1.pth' in line
        assert 'process 1: from the beginning, no checkpoint' in line and 'disk that all processes share' in line
    assert [path.name for path in (folders[0] / 'run').iterdir()] == ['epoch_1.pth']
    assert not list((folders[1] / 'run').iterdir())


@pytest.fixture
def others(monkeypatch, tmp_path):
    """Lets this process choose, and two others what the functions of theirs return; the outcome of this one."""

    def decide(own, *further):
        answers = []

        def gather(answer):
            answers.append(answer)
            if len(answers) <= len(further):
                # the next process answers before this one hears
                with suppress(Exception):
                    begin_together(further[len(answers) - 1], tmp_path)
            return [*answers]

        monkeypatch.setattr(agreement, 'all_gather_object', gather)
        monkeypatch.setattr(agreement, 'get_world_size', lambda: 1 + len(further))
        monkeypatch.setattr(agreement, 'get_rank', lambda: 0)
        return begin_together(own, tmp_path)

    return decide


def refuse(error):
    """A process that cannot choose."""

    def choose():
        raise error

    return choose


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_same_file_or_none_is_the_same_place_whatever_its_folder_is_called(others, tmp_path):
    one, two = (write(tmp_path / name / 'epoch_1.pth', b'same') for name in 'ab')
    assert others(lambda: one, lambda: two, lambda: one) == one
    assert others(lambda: None, lambda: None) is None


def test_a_stale_copy_under_the_same_name_is_another_place(others, tmp_path):
    one, two = (write(tmp_path / name / 'epoch_1.pth', name.encode()) for name in 'ab')
    with pytest.raises(ConfigError, match=rf'processes 0, 2: from {one} \(sha256 \w+\); process 1: from {two} '):
        others(lambda: one, lambda: two, lambda: one)


def test_the_error_of_one_process_ends_all(others, tmp_path):
    one = write(tmp_path / 'a' / 'epoch_1.pth', b'a')
    missing = DataError("checkpoint 'x.pth' does not exist")
    with pytest.raises(ConfigError, match=r"process 0: from .*; process 1: cannot begin: checkpoint 'x.pth' does not"):
        others(lambda: one, refuse(missing))
    with pytest.raises(ConfigError, match='process 0: cannot begin: .*x.pth.*; process 1: from the beginning'):
        others(refuse(missing), lambda: None)
    # what all have in common is said as it is, and an error of the program keeps its traceback
    with pytest.raises(DataError, match=r'^checkpoint .x\.pth. does not exist$'):
        others(refuse(missing), refuse(DataError(str(missing))))
    with pytest.raises(KeyError):
        others(refuse(KeyError('x')), lambda: None)


def test_over_gpus_the_group_is_formed_as_the_runner_would(monkeypatch):
    calls = []
    monkeypatch.setattr(launching.torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(launching, 'set_multi_processing', lambda **words: calls.append(words))
    monkeypatch.setattr(launching, 'init_dist', lambda launcher, **words: calls.append({'launcher': launcher, **words}))
    for name, value in (('RANK', '0'), ('WORLD_SIZE', '2'), ('LOCAL_RANK', '0')):
        monkeypatch.setenv(name, value)
    cfg = load_config('moco_joint_ntu60_xsub')
    launching.join_group(cfg, 'pytorch')
    start, group = calls
    assert start == {**cfg.env_cfg.mp_cfg, 'distributed': True}
    assert group == {'launcher': 'pytorch', **cfg.env_cfg.dist_cfg} and group['timeout'] > 0
