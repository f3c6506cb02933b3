"""A run that was interrupted ends bit for bit where it would have ended, whatever interrupted it."""
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from mmactclr.engine import stop_signals
from mmactclr.engine.checkpoints import find_newest, read_checkpoint
from mmactclr.engine.loops.position import Position, Share
from mmactclr.engine.random_states import capture_random
from mmactclr.engine.stop_signals import StopSignals
from mmactclr.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
ARITHMETIC = dict(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', MKL_CBWR='COMPATIBLE', CUDA_VISIBLE_DEVICES='')


def child(*command: object, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, command)], cwd=cwd, text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=f'{ROOT}{os.pathsep}{ROOT / "benchmarks"}', **ARITHMETIC))


@pytest.fixture(scope='module')
def benchmark_module():
    """benchmarks/kill_and_resume.py."""
    spec = importlib.util.spec_from_file_location('kill_and_resume', ROOT / 'benchmarks' / 'kill_and_resume.py')
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_killed_three_times_the_run_ends_where_it_would_have(benchmark_module, tmp_path):
    """Across the switch of stages, at moments that the seed draws; the whole benchmark has 60 such kills."""
    done = child(ROOT / 'benchmarks' / 'kill_and_resume.py', '--methods', 'actclr', '--kills', 3, '--epochs', 8,
                 '--subjects', 8, '--out', 'out', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / 'out' / 'actclr'
    assert len((folder / 'kills.jsonl').read_text().splitlines()) == 3
    result = json.loads((folder / 'result.json').read_text())
    assert result['differences'] == []
    assert result['compared_weights'] > 50 and result['compared_optimizer'] > 20 and result['compared_metrics_json'] > 9
    # what compares can tell
    newest = find_newest(folder / 'killed')
    state = read_checkpoint(newest)
    state['state_dict']['memory.pointer'] += 1
    torch.save(state, newest)
    metrics = json.loads((folder / 'killed' / 'metrics.json').read_text())
    metrics['val']['epoch'] += 1
    (folder / 'killed' / 'metrics.json').write_text(json.dumps(metrics))
    assert list(benchmark_module.compare(folder / 'straight', folder / 'killed')) == [
        'metrics.json/val/epoch', 'weights/memory.pointer']


@pytest.fixture(scope='module')
def interrupted(tiny_archive, tmp_path_factory) -> tuple[Path, dict[str, list[dict]], dict[str, int]]:
    """Folder, steps and exit codes of the runs of interrupted_runs.py by name."""
    folder = tmp_path_factory.mktemp('interrupted')
    done = child(Path(__file__).with_name('interrupted_runs.py'), tiny_archive, folder, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    steps, codes, open_steps = defaultdict(list), {}, []
    for entry in map(json.loads, (line for line in done.stdout.splitlines() if line.startswith('{'))):
        if 'end' in entry:
            steps[entry['end']], open_steps = open_steps, []
            codes[entry['end']] = entry['code']
        else:
            open_steps.append(entry)
    return folder, steps, codes


def leaves(value, name=''):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f'{name}/{key}')
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from leaves(inner, f'{name}/{number}')
    else:
        yield name, value


@pytest.mark.parametrize('case, at', [('moco', 5), ('linear', 4), ('finetune', 4)])
def test_a_run_stopped_inside_an_epoch_takes_the_steps_that_are_left(interrupted, case, at):
    """Of three epochs of three steps, with schedules by epoch and by step, accumulation, dropout, loader workers.

    Order of the sequences, random numbers drawn in the steps, losses and learning rates are those of a run that was
    not stopped; weights, optimiser, schedules and histories at the end as well.
    """
    folder, steps, codes = interrupted
    straight, stopped, rest = (steps[f'{case} {name}'] for name in (
        'straight None', f'stopped {at}', 'stopped None'))
    assert codes[f'{case} stopped {at}'] == 143 and codes[f'{case} stopped None'] == 0
    assert len(straight) == 9 and len(stopped) == at and stopped + rest == straight
    assert len({step['lr'][0] for step in straight}) > 2 and len({tuple(step['drawn']) for step in straight}) == 9
    one, two = (read_checkpoint(folder / case / name / 'epoch_3.pth') for name in ('straight', 'stopped'))
    for checkpoint in (one, two):
        for name in ('train/time', 'train/data_time', 'val/time', 'val/data_time', 'train/memory'):
            checkpoint['message_hub']['log_scalars'].pop(name, None)
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'position'):
        expected, found = dict(leaves(one[part])), dict(leaves(two[part]))
        assert expected.keys() == found.keys()
        assert not [name for name, value in expected.items() if not (
            torch.equal(value, found[name]) if torch.is_tensor(value) else value == found[name])], part
    expected, found = (dict(leaves(checkpoint['message_hub']['log_scalars'])) for checkpoint in (one, two))
    assert expected.keys() == found.keys() and any('train/loss' in name for name in expected)
    assert all(torch.equal(torch.as_tensor(value), torch.as_tensor(found[name])) for name, value in expected.items())
    # what was written in the middle of an epoch is outdated by its end
    assert sorted(path.name for path in (folder / case / 'stopped').glob('*.pth')) == sorted(
        path.name for path in (folder / case / 'straight').glob('*.pth'))


@pytest.mark.parametrize('name, code', [('SIGTERM', 143), ('SIGINT', 130), ('SIGHUP', 129), ('SIGUSR1', 143)])
def test_a_signal_ends_the_process_with_a_whole_checkpoint_and_a_line(interrupted, name, code):
    folder, _, codes = interrupted
    assert codes[f'signal {name}'] == code
    said = (folder / f'{name}.log').read_text()
    assert 'Traceback' not in said
    line, = (line for line in said.splitlines() if f'{name}: stopped' in line)
    assert '--resume' in line
    written = Path(line.split('; ')[1].split(' is written')[0])
    assert ('training starts from the beginning' in said) == (name == 'SIGTERM')
    if name == 'SIGUSR1':
        assert find_newest(folder / 'signals') == written
        assert (folder / 'signals' / 'last_checkpoint').read_text().strip() == str(written)
    else:
        # the next one went on from it
        after = {'SIGTERM': 'SIGINT', 'SIGINT': 'SIGHUP', 'SIGHUP': 'SIGUSR1'}[name]
        assert f'from {written}' in (folder / f'{after}.log').read_text()


def test_a_second_signal_ends_at_once_unless_it_is_the_same_request(monkeypatch):
    clock, killed = [100.], []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(stop_signals.time, 'monotonic', lambda: clock[0])
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGUSR1)
        clock[0] += 60
        # a cluster warns, and asks a minute later; torchrun hands on what the keyboard has sent to all
        signal.raise_signal(signal.SIGTERM)
        clock[0] += 1
        signal.raise_signal(signal.SIGTERM)
        assert signals.number == signal.SIGUSR1
        clock[0] += 1
        monkeypatch.setattr(stop_signals.os, 'kill', lambda pid, number: killed.append((pid, number)))
        signal.raise_signal(signal.SIGINT)
        assert killed == [(os.getpid(), signal.SIGINT)] and signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert {number: signal.getsignal(number) for number in before} == before


def position(batches: int, share: Share) -> Position:
    states = capture_random().repeat(share.processes, 1)
    return Position(batches, share, True, 0, states, states, None)


@pytest.mark.parametrize('now, batches, again', [
    (Share(1, 8, 10), 6, 0), (Share(2, 4, 10), 6, 0), (Share(2, 8, 5), 3, 0), (Share(4, 8, 2), 1, 16),
    (Share(1, 4, 20), 12, 0), (Share(1, 8, 4), 4, 16)])
def test_what_is_done_of_an_epoch_does_not_depend_on_who_did_it(now, batches, again):
    assert position(6, Share(1, 8, 10)).batches_for(now) == (batches, again)


@pytest.mark.parametrize('change', [
    lambda values: values.pop('batches'), lambda values: values.update(batches=-1),
    lambda values: values.update(batches=11), lambda values: values.update(share=dict(processes=2)),
    lambda values: values['share'].update(batch_size=0), lambda values: values.update(random=[1, 2]),
    lambda values: values.update(validated='no'), lambda values: values.update(sampler_seed=.5),
    lambda values: values.update(accumulated=torch.zeros(3, 2)), lambda values: values.update(more=1)])
def test_a_damaged_position_is_refused(change):
    values = position(6, Share(1, 8, 10)).to_dict()
    assert Position.of(dict(position=values), 'a.pth').share == Share(1, 8, 10) and Position.of({}, 'a.pth') is None
    change(values)
    with pytest.raises(DataError, match=r"a\.pth.*'position'.*is damaged.*--resume FILE"):
        Position.of(dict(position=values), 'a.pth')


@pytest.mark.parametrize('size', [3, 6000])
def test_states_of_generators_that_are_none_are_refused(size):
    before = capture_random()
    broken = Position(0, Share(1, 8, 10), True, 0, *[torch.full((1, size), 255, dtype=torch.uint8)] * 2, None)
    with pytest.raises(DataError, match='no states of random generators'):
        broken.restore_random(at_epoch=False)
    position(0, Share(1, 8, 10)).restore_random(at_epoch=True)
    assert len(capture_random()) == len(before)


def test_two_processes_go_on_where_one_stopped(interrupted):
    """They take the sequences that are left, so that a head on fixed features ends where that of one process does."""
    folder, _, _ = interrupted
    halted, straight = folder / 'linear' / 'halted', folder / 'linear' / 'straight'
    assert find_newest(halted).name == 'iter_4.pth'
    done = subprocess.run(
        ['bash', ROOT / 'tools' / 'dist_train.sh', folder / 'linear.py', '2', '--work-dir', halted, '--resume',
         '--cfg-options', 'train_dataloader.batch_size=3'], cwd=folder, text=True, capture_output=True,
        env=dict(os.environ, PYTHON=sys.executable, PYTHONPATH=str(ROOT), **ARITHMETIC))
    assert done.returncode == 0, done.stderr[-4000:]
    said = done.stdout + done.stderr
    assert 'processes 1 -> 2, sequences of a step in each 6 -> 3' in said and 'no longer those of the unint' in said
    assert 'resumed epoch: 1, iter: 4' in said and 'global batch' not in said
    one, two = (read_checkpoint(run / 'epoch_3.pth') for run in (straight, halted))
    torch.testing.assert_close(two['state_dict']['head.fc.weight'], one['state_dict']['head.fc.weight'],
                               atol=1e-5, rtol=1e-5)
    assert two['meta']['iter'] == 9 and two['position']['share']['processes'] == 2
    assert json.loads((halted / 'metrics.json').read_text())['val']['metrics'] == json.loads(
        (straight / 'metrics.json').read_text())['val']['metrics']
