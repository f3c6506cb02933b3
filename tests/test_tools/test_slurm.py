"""The scripts for Slurm with a stand-in for srun and scontrol, and torchrun when one of its processes dies."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mmactclr.engine.checkpoints import find_newest

MOCO = 'moco_joint_ntu60_xsub'
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)

# starts the processes that srun would, passes signals on and ends with their highest code
SRUN = """#!{python}
import json, os, signal, subprocess, sys
words, options = sys.argv[1:], {{}}
while words[0].startswith('--'):
    name, equals, value = words.pop(0).partition('=')
    options[name] = value if equals else words.pop(0)
with open(os.environ['FAKE_LOG'], 'a') as file:
    file.write(json.dumps(dict(options=options, command=words, port=os.environ.get('MASTER_PORT'))) + '\\n')
count = options['--ntasks'] if os.environ.get('FAKE_RUN') else '1'
tasks = [subprocess.Popen(words, env=dict(
    os.environ, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), SLURM_NTASKS=count, SLURM_NODELIST='localhost'))
    for rank in range(int(count))]
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: [task.send_signal(number) for task in tasks])
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = '#!/bin/sh\necho "$@" >> "$FAKE_LOG.scontrol"\n'


@pytest.fixture
def cluster(tmp_path, repo_root):
    """Starts a script with the stand-ins on the path; the process."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name, text in (('srun', SRUN.format(python=sys.executable)), ('scontrol', SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    jobs = []

    def start(script: str, *words: object, **environment: str) -> subprocess.Popen:
        # a shell cannot catch what was ignored when it was started, as SIGINT is in the background
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            jobs.append(subprocess.Popen(
                ['bash', repo_root / 'tools' / script, *map(str, words)], cwd=tmp_path, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, env={
                    **os.environ, 'PATH': f'{programs}:{os.environ["PATH"]}', 'FAKE_LOG': str(tmp_path / 'log'),
                    'PYTHON': sys.executable, 'CUDA_VISIBLE_DEVICES': '', 'PYTHONPATH': str(repo_root),
                    **environment}))
        finally:
            signal.signal(signal.SIGINT, before)
        return jobs[-1]

    yield start
    for job in jobs:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


def python(folder: Path, code: int) -> str:
    """An interpreter that only ends with a code."""
    path = folder / f'python{code}'
    path.write_text(f'#!/bin/sh\nexit {code}\n')
    path.chmod(0o755)
    return str(path)


def calls(folder: Path) -> list[dict]:
    """What srun was called with."""
    return [json.loads(line) for line in (folder / 'log').read_text().splitlines()]


def requeued(folder: Path) -> list[str]:
    """What scontrol was called with."""
    path = folder / 'log.scontrol'
    return path.read_text().splitlines() if path.exists() else []


def test_what_srun_is_asked_for(cluster, tmp_path, repo_root):
    done = cluster('slurm_train.sh', 'gpu', 'first', 'config.py', '--work-dir', 'w', GPUS='16', CPUS_PER_TASK='3',
                   SRUN_ARGS='--mem=8G --exclusive=user', PYTHON=python(tmp_path, 0))
    output, _ = done.communicate(timeout=60)
    assert done.returncode == 0, output
    call = calls(tmp_path)[0]
    assert call['options'] == {
        '--ntasks': '16', '--ntasks-per-node': '8', '--cpus-per-task': '3', '--gres': 'gpu:8', '--partition': 'gpu',
        '--job-name': 'first', '--kill-on-bad-exit': '1', '--mem': '8G', '--exclusive': 'user'}
    assert call['command'][1:] == ['-u', str(repo_root / 'tools' / 'train.py'), 'config.py', '--launcher', 'slurm',
                                   '--work-dir', 'w']
    done = cluster('slurm_test.sh', 'cpu', 'second', 'config.py', 'epoch_1.pth', GPUS='2', GRES='',
                   SLURM_JOB_ID='70001', PYTHON=python(tmp_path, 0))
    output, _ = done.communicate(timeout=60)
    assert done.returncode == 0, output
    call = calls(tmp_path)[1]
    # inside a job: neither partition nor name, and a port of the job's own
    assert call['options'] == {'--ntasks': '2', '--ntasks-per-node': '2', '--cpus-per-task': '5',
                               '--kill-on-bad-exit': '1'}
    assert call['command'][2:5] == [str(repo_root / 'tools' / 'test.py'), 'config.py', 'epoch_1.pth']
    assert call['port'] == str(20000 + 70001 % 20000)


@pytest.mark.parametrize('code, restarts, again', [(143, 0, True), (138, 2, True), (0, 1, False), (1, 0, False),
                                                   (75, 0, False)])
def test_only_a_job_that_its_limit_stopped_goes_back_into_the_queue(cluster, tmp_path, code, restarts, again):
    done = cluster('slurm_train.sh', 'gpu', 'first', 'config.py', SLURM_JOB_ID='4242',
                   SLURM_RESTART_COUNT=str(restarts), PYTHON=python(tmp_path, code))
    output, _ = done.communicate(timeout=60)
    assert done.returncode == code, output
    assert requeued(tmp_path) == (['requeue 4242'] if again else [])
    assert ('--resume' in calls(tmp_path)[0]['command']) == (restarts > 0)


def test_outside_a_job_nothing_is_put_into_a_queue(cluster, tmp_path):
    done = cluster('slurm_train.sh', 'gpu', 'first', 'config.py', PYTHON=python(tmp_path, 143))
    done.communicate(timeout=60)
    assert done.returncode == 143 and not requeued(tmp_path)


@pytest.mark.parametrize('script, words, environment, found', [
    ('slurm_train.sh', ['gpu', 'first'], {}, 'found 2 argument'),
    ('slurm_test.sh', ['gpu', 'first', 'config.py'], {}, 'found 3 argument'),
    ('slurm_train.sh', ['gpu', 'first', 'config.py'], {'GPUS': 'all'}, "GPUS is 'all'"),
    ('slurm_train.sh', ['gpu', 'first', 'config.py'], {'CPUS_PER_TASK': '0'}, "CPUS_PER_TASK is '0'"),
    ('slurm_test.sh', ['gpu', 'a', 'b', 'c'], {'PATH': '/usr/bin:/bin'}, 'found no srun')])
def test_scripts_say_how_they_are_called(cluster, script, words, environment, found):
    done = cluster(script, *words, **environment)
    output, _ = done.communicate(timeout=60)
    assert done.returncode == 2 and found in output and f'usage: bash tools/{script} PARTITION JOB_NAME' in output
    helped = cluster(script, '--help')
    assert helped.communicate(timeout=60)[0] in output and helped.returncode == 0


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Wait until a file is there."""
    for _ in range(1200):
        if path.is_file():
            return
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.1)
    raise AssertionError(f'no {path}')


@pytest.fixture
def long_config(tiny_archive, tiny_config, tmp_path) -> Path:
    """More epochs than anybody waits for, each with a checkpoint."""
    tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{
        'train_cfg.max_epochs': 5000, 'train_dataloader.batch_size': 3,
        'default_hooks.checkpoint.max_keep_ckpts': -1}).dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_job_that_somebody_ends_does_not_come_back(cluster, tmp_path, number, code):
    """The processes end with the code of SIGTERM, as after the warning before a time limit."""
    stub = Path(python(tmp_path, 143))
    stub.write_text('#!/bin/sh\ntrap "exit 143" TERM\n: > started\nwhile :; do sleep 0.05; done\n')
    job = cluster('slurm_train.sh', 'gpu', 'first', 'config.py', SLURM_JOB_ID='4242', PYTHON=str(stub))
    wait_for(tmp_path / 'started', job)
    job.send_signal(number)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == code and not requeued(tmp_path), output


def test_the_warning_before_a_limit_reaches_the_processes_which_write_a_checkpoint(cluster, long_config, tmp_path):
    """Two processes over gloo."""
    job = cluster('slurm_train.sh', 'cpu', 'first', long_config, '--work-dir', 'run', GPUS='2', GRES='', FAKE_RUN='1',
                  SLURM_JOB_ID=str(os.getpid()))
    wait_for(tmp_path / 'run' / 'epoch_1.pth', job)
    job.send_signal(signal.SIGUSR1)
    output, _ = job.communicate(timeout=120)
    assert job.returncode == 143, output[-3000:]
    assert requeued(tmp_path) == [f'requeue {os.getpid()}']
    assert 'Traceback' not in output and 'SIGUSR1: stopped after' in output
    assert str(find_newest(tmp_path / 'run')) in output.replace('run/', f'{tmp_path}/run/')


def test_one_killed_process_ends_the_run_with_its_code_and_a_line(long_config, tmp_path, repo_root):
    run = subprocess.Popen(
        ['bash', repo_root / 'tools' / 'dist_train.sh', long_config, '2', '--work-dir', 'run'], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, PYTHON=sys.executable, CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(repo_root)))
    wait_for(tmp_path / 'run' / 'epoch_1.pth', run)
    ranks = Path(f'/proc/{run.pid}/task/{run.pid}/children').read_text().split()
    assert len(ranks) == 2
    os.kill(int(ranks[1]), signal.SIGKILL)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 128 + signal.SIGKILL
    assert 'error: process 1 (counted from 0) was killed by SIGKILL; the others were stopped' in output
    assert 'Traceback' not in output
    assert find_newest(tmp_path / 'run') is not None
    assert not [pid for pid in ranks if Path(f'/proc/{pid}/cmdline').exists()
                and b'train.py' in Path(f'/proc/{pid}/cmdline').read_bytes()]


def test_torchrun_is_stopped_by_a_signal_with_its_code(long_config, tmp_path, repo_root):
    run = subprocess.Popen(
        ['bash', repo_root / 'tools' / 'dist_train.sh', long_config, '2', '--work-dir', 'run'], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, PYTHON=sys.executable, CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(repo_root)))
    wait_for(tmp_path / 'run' / 'epoch_1.pth', run)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 130 and 'Traceback' not in output
    assert 'SIGINT: stopped after' in output and 'SIGINT: all processes have ended' in output
