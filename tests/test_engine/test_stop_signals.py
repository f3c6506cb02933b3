"""Signals that are noted: said at once, survived by what is printed, and left alone where nobody would act on them."""
import errno
import importlib.util
import os
import pty
import signal
import time
from types import SimpleNamespace

import pytest
from mmengine.hooks import Hook

from mmactclr.apis import run_training
from mmactclr.engine import stop_signals
from mmactclr.engine.hooks import progress_hook
from mmactclr.engine.stop_signals import STOPPING, StoppedRun, StopSignals
from mmactclr.registry import HOOKS

NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@HOOKS.register_module(force=True)
class Interrupting(Hook):
    """Presses Ctrl-C during the first step."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Press it."""
        if runner.iter == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize('hook', [None, dict(type='CheckpointHook', interval=1)])
def test_signals_that_no_hook_would_act_on_do_what_they_do_elsewhere(tiny_archive, tiny_config, tmp_path, hook):
    cfg = tiny_config(tiny_archive, 'moco_joint_ntu60_xsub', **NO_VALIDATION)
    cfg.default_hooks.checkpoint = hook
    cfg.custom_hooks.append(dict(type='Interrupting'))
    # ignored in tests that were started in the background
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_training(cfg, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_first_signal_is_answered_before_the_step_ends(number, capfd):
    with StopSignals() as signals:
        signal.raise_signal(number)
        said = capfd.readouterr().err
        signal.raise_signal(number)
        assert signals.number == number and not capfd.readouterr().err
    assert said.startswith(f'{number.name}: the step') and said.count('\n') == 1 and 'a checkpoint is written' in said
    # a second warning before a time limit would not end anything
    assert ('once more' in said) == (number != signal.SIGUSR1)


def test_one_process_answers_for_all(monkeypatch, capfd):
    monkeypatch.setattr(stop_signals, 'is_main_process', lambda: False)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
    assert signals.number == signal.SIGINT and not capfd.readouterr().err


def test_a_closed_terminal_is_noted_and_printing_goes_on(tmp_path):
    """The process of the terminal gets SIGHUP from the system; printing to it fails from then on."""
    child, terminal = pty.fork()
    if not child:
        code = 1
        # tests that were started by nohup ignore it
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            with StopSignals() as signals:
                os.write(1, b'ready')
                end = time.monotonic() + 30
                while not signals.number and time.monotonic() < end:
                    time.sleep(.01)
                os.write(1, b'a progress bar')
                os.write(2, b'a last line')
                code = StoppedRun(signals.number).code
        finally:
            os._exit(code)
    said = b''
    while b'ready' not in said:
        said += os.read(terminal, 100)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 129


def test_a_closed_terminal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert all(signal.getsignal(number) == signals._note for number in STOPPING if number != signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
        assert signals.number == 0 and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_launcher_passes_a_closed_terminal_on_unless_it_is_ignored(repo_root, monkeypatch):
    spec = importlib.util.spec_from_file_location('launch', repo_root / 'tools' / 'launch.py')
    launch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch)
    passed = []
    # imported when it runs, so that --help needs no torch
    monkeypatch.setattr('torch.distributed.run.main',
                        lambda words: passed.append(words[words.index('--signals-to-handle') + 1]))
    before = signal.getsignal(signal.SIGHUP)
    try:
        for handler in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(signal.SIGHUP, handler)
            assert launch.main([]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    first, second = (set(names.split(',')) for names in passed)
    assert first - second == {'SIGHUP'} and {number.name for number in STOPPING} <= first


@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC])
def test_only_a_lost_terminal_is_nothing_to_the_bar(monkeypatch, number):
    def full(*_, **__):
        raise OSError(number, 'no')

    monkeypatch.setattr(progress_hook, 'print', full, raising=False)
    hook, group = progress_hook.ProgressHook(interval=0), [dict(lr=.1)]
    runner = SimpleNamespace(iter=0, max_iters=2, epoch=0, max_epochs=1,
                             optim_wrapper=SimpleNamespace(param_groups=group))
    hook.before_train(runner)
    if number == errno.EIO:
        hook.after_train_iter(runner, 0, outputs={})
    else:
        with pytest.raises(OSError):
            hook.after_train_iter(runner, 0, outputs={})
