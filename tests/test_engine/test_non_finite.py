"""A step whose loss is no number: who is to blame, and that nothing follows it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from mmactclr.apis import run_training
from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.engine import NonFiniteHook
from mmactclr.errors import ConfigError, RunError
from mmactclr.registry import HOOKS, MODELS

from ..conftest import TINY_LAYOUT

MOCO, ACTCLR, THREE = 'moco_joint_ntu60_xsub', 'actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@HOOKS.register_module(force=True)
class StateRecorder(Hook):
    """The whole state of the method and of the optimiser after every step; spoils one step or a batch if asked to."""

    priority = 'LOWEST'

    def __init__(self, at: int = -1, spoil: str = '', until: int = -1) -> None:
        self.steps, self.names, self.at, self.spoil, self.until = [], [], at, spoil, max(until, at)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Put what is no number into the second sequence of the batch, or into one weight's gradient."""
        names = runner.train_dataloader.dataset.metainfo['names']
        self.names.append([str(names[i]) for i in data_batch['index'].tolist()])
        if self.at <= runner.iter <= self.until and self.spoil == 'data':
            data_batch['inputs'][1, 0, 3] = float('nan')
        weight = next(p for p in runner.model.parameters() if p.requires_grad)
        if self.at <= runner.iter <= self.until and self.spoil == 'gradient':
            handle = weight.register_hook(lambda gradient: handle.remove() or gradient * float('inf'))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Copy the state."""
        state = {name: value.clone() for name, value in runner.model.state_dict().items()}
        optimizer = runner.optim_wrapper.optimizer
        momentum = [optimizer.state[p]['momentum_buffer'].clone() for p in optimizer.param_groups[0]['params']
                    if optimizer.state[p].get('momentum_buffer') is not None]
        self.steps.append((state, momentum, optimizer.param_groups[0]['lr'], dict(outputs)))


@pytest.fixture
def train(tiny_archive, tiny_config, tmp_path):
    """Trains three epochs of three steps with one spoiled step; the recorder and the error, if there was one."""

    def train(spoil, action, at=6, config=MOCO, name='run', until=-1, hook=None, resume=None, **more):
        options = {**NO_VALIDATION, 'train_cfg.max_epochs': 3, 'param_scheduler.milestones': [3], **more}
        if 'actclr' in config:
            options['model.branch.stage_epochs' if '_3s_' in config else 'model.stage_epochs'] = (1, 2)
        cfg = tiny_config(tiny_archive, config, **options)
        cfg.default_hooks.non_finite.update(action=action, **(hook or {}))
        cfg.custom_hooks.append(dict(type='StateRecorder', at=at, spoil=spoil, until=until))
        kept = []
        original = StateRecorder.__init__

        def remember(self, *args, **kwargs):
            original(self, *args, **kwargs)
            kept.append(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StateRecorder, '__init__', remember)
            try:
                run_training(cfg, tmp_path / name, resume=resume)
            except RunError as error:
                return kept[-1], str(error)
        return kept[-1], None

    return train


def same(a: dict, b: dict) -> None:
    """Equal bit for bit."""
    assert a.keys() == b.keys()
    assert not [name for name in a if not torch.equal(a[name], b[name])]


@pytest.mark.parametrize('config', [MOCO, ACTCLR, THREE])
def test_a_skipped_step_leaves_everything_as_it_was_and_names_the_sequence(train, tmp_path, config):
    recorder, error = train('data', 'skip', config=config)
    assert error is None and len(recorder.steps) == 9
    states = [state for state, *_ in recorder.steps]
    same(states[5], states[6])
    momentum = recorder.steps[5][1]
    assert momentum and all(torch.equal(a, b) for a, b in zip(momentum, recorder.steps[6][1], strict=True))
    # those before and after moved, and are all numbers
    for i in (4, 7, 8):
        assert not all(torch.equal(states[i][name], states[i + 1 if i == 4 else i - 1][name]) for name in states[i])
    assert all(torch.isfinite(value).all() for state in states for value in state.values())
    assert recorder.steps[6][3] == {} and recorder.steps[7][3]['loss'].isfinite()
    report = json.loads((tmp_path / 'run' / 'bad_step_7.json').read_text())
    term = 'loss_nce' if config == MOCO else 'loss_mining'
    assert all(name.split('.')[-1] == term and value == 'nan' for name, value in report['losses_not_finite'].items())
    assert len(report['losses_not_finite']) == (3 if config == THREE else 1)
    assert [sample['name'] for sample in report['samples_not_finite']] == [recorder.names[6][1]]
    assert (report['epoch'], report['batch'], report['iteration']) == (3, 1, 7)
    assert [sample['name'] for sample in report['processes'][0]['samples']] == recorder.names[6]


def test_stop_says_what_to_do_and_keeps_the_checkpoint(train, tmp_path):
    recorder, error = train('data', 'stop')
    name = recorder.names[6][1]
    for words in ('loss_nce is nan at iteration 7', 'epoch 3, batch 1 of 3', name, 'bad_step_7.json', 'epoch_2.pth',
                  'verify.py', '--resume'):
        assert words in error, words
    saved = torch.load(tmp_path / 'run' / 'epoch_2.pth', weights_only=True)['state_dict']
    same(saved, recorder.steps[5][0])


def test_finite_data_are_said_to_be_finite_and_the_gradient_is_named(train, tmp_path):
    _, error = train('gradient', 'stop', at=1)
    assert 'the losses are finite, the gradient of backbone.' in error and 'the data of the batch are finite' in error
    assert 'optim_wrapper.optimizer.lr' in error and 'no checkpoint yet' in error
    report = json.loads((tmp_path / 'run' / 'bad_step_2.json').read_text())
    assert report['gradients_not_finite'] and not report['samples_not_finite'] and not report['losses_not_finite']


def test_too_many_steps_in_a_row_stop_the_run(train):
    recorder, error = train('data', 'skip', at=2, until=9, hook=dict(max_skips=2))
    assert len(recorder.steps) == 4 and '2 steps in a row were skipped (max_skips)' in error
    # two, a good one, and two again are fine
    recorder, error = train('gradient', 'skip', at=3, until=4, hook=dict(max_skips=2), name='fine')
    assert error is None and len(recorder.steps) == 9


@pytest.mark.parametrize('spoil, factor', [('data', 1.0), ('gradient', 0.25)])
def test_a_rollback_takes_the_newest_checkpoint_and_goes_on_with_the_next_batch(train, tmp_path, spoil, factor):
    # the second step of epoch 3: one step after the checkpoint is lost
    recorder, error = train(spoil, 'rollback', at=7, hook=dict(lr_factor=0.25))
    assert error is None and len(recorder.steps) == 9
    checkpoint = torch.load(tmp_path / 'run' / 'epoch_2.pth', weights_only=True)
    same(checkpoint['state_dict'], recorder.steps[7][0])
    assert not all(torch.equal(recorder.steps[6][0][name], value) for name, value in recorder.steps[7][0].items())
    saved = [one['momentum_buffer'] for one in checkpoint['optimizer']['state'].values()
             if one.get('momentum_buffer') is not None]
    assert saved and all(torch.equal(a, b) for a, b in zip(saved, recorder.steps[7][1], strict=True))
    rates = [lr for _, _, lr, _ in recorder.steps]
    assert rates[7] == rates[8] == pytest.approx(factor * rates[6])
    assert json.loads((tmp_path / 'run' / 'bad_step_8.json').read_text())['rolled_back_to'].endswith('epoch_2.pth')
    last = torch.load(tmp_path / 'run' / 'epoch_3.pth', weights_only=True)['state_dict']
    assert all(torch.isfinite(value).all() for value in last.values())


def test_a_rollback_needs_a_checkpoint_of_this_run_and_ends(train, tmp_path):
    train('', 'stop', name='run')
    assert (tmp_path / 'run' / 'epoch_3.pth').is_file()
    # the files of the run before do not count
    _, error = train('data', 'rollback', at=1, name='run')
    assert 'no checkpoint yet to go back to' in error
    _, error = train('data', 'rollback', at=6, until=9, hook=dict(max_rollbacks=2), name='thrice')
    assert 'rolled back 2 times (max_rollbacks)' in error


def test_a_loss_that_is_no_number_while_gradients_accumulate(train):
    """The second of three accumulated steps: its keys stay out of the memory, its gradients out of the sum."""
    recorder, error = train('data', 'skip', at=4, **{'optim_wrapper.accumulative_counts': 3})
    assert error is None
    states = [state for state, *_ in recorder.steps]
    same(states[3], states[4])
    assert all(torch.isfinite(value).all() for value in states[-1].values())
    weight = 'projector.layers.0.weight'
    assert not torch.equal(states[4][weight], states[5][weight])


def test_data_that_are_not_finite_on_disk_are_named(tiny_config, write_tiny_archive, tmp_path):
    """A prepared sequence that was damaged after it was written, as a failing disk does."""
    write_tiny_archive(tmp_path / 'archive')
    archive = SkeletonArchive.open(tmp_path / 'archive')
    # what the runs below will find prepared
    dataset = SkeletonDataset(tmp_path / 'archive', layout=TINY_LAYOUT, num_frames=16)
    victim = int(dataset.index[4])
    stored = np.load(next((tmp_path / 'archive' / 'prepared').glob('*/keypoints.npy')), mmap_mode='r+')
    stored[victim, 0, 2, 5, 1] = np.nan
    stored.flush()
    cfg = tiny_config(tmp_path / 'archive', MOCO, **NO_VALIDATION)
    with pytest.raises(RunError, match=rf"{archive.column('name')[victim]} \(index {victim}\)"):
        run_training(cfg, tmp_path / 'run')
    # the mean motion of stage two would carry it to every sequence
    cfg = tiny_config(tmp_path / 'archive', ACTCLR, **NO_VALIDATION)
    with pytest.raises(RunError, match=f"{archive.column('name')[victim]}.*verify.py"):
        run_training(cfg, tmp_path / 'run2')


def test_weights_that_are_not_finite_are_not_written(train, tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION)

    @HOOKS.register_module(name='BrokenStep', force=True)
    class BrokenStep(Hook):
        """An optimiser step that overflows: the loss before it was fine."""

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            if runner.iter == 5:
                with torch.no_grad():
                    next(runner.model.parameters())[0] = float('inf')

    cfg.custom_hooks.append(dict(type='BrokenStep'))
    with pytest.raises(RunError, match='no longer finite.*epoch_1.pth'):
        run_training(cfg, tmp_path)
    assert [path.name for path in Path(tmp_path).glob('*.pth')] == ['epoch_1.pth']


@pytest.mark.parametrize('arguments', [dict(action='ignore'), dict(max_skips=0), dict(max_rollbacks=0),
                                       dict(lr_factor=0.0), dict(lr_factor=1.5)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match='NonFiniteHook'):
        NonFiniteHook(**arguments)


@MODELS.register_module(force=True)
class NoNorm(nn.Module):
    """An encoder without batch norm."""

    out_channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, T, V) to (N, 8, T, V)."""
        return self.mix(x)


def test_a_model_without_running_statistics_trains_and_skips(tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION)
    cfg.model.backbone = dict(type='NoNorm')
    cfg.default_hooks.non_finite.update(action='skip')
    cfg.custom_hooks.append(dict(type='StateRecorder', at=2, spoil='data'))
    runner = run_training(cfg, tmp_path)
    assert not [name for name, _ in runner.model.named_buffers() if 'running' in name]
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    assert (tmp_path / 'bad_step_3.json').is_file()
