"""Which checkpoints a run writes and keeps, what happens when it cannot, and what going on from one says."""
import errno
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from mmactclr.apis import run_training
from mmactclr.engine import ActionletStatsHook, RunCheckpointHook
from mmactclr.engine.checkpoints import find_newest, read_checkpoint
from mmactclr.engine.checkpoints.newest import aside_of
from mmactclr.engine.hooks import run_checkpoint_hook
from mmactclr.engine.loops.position import _set_gradients
from mmactclr.errors import ConfigError, DataError, RunError
from mmactclr.registry import HOOKS

MOCO, ACTCLR = 'moco_joint_ntu60_xsub', 'actclr_joint_ntu60_xsub'
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
BEST = 'knn/backbone_k20'
# of logs, before the newest run
SIZES: dict[Path, int] = {}


@HOOKS.register_module(force=True)
class Minutes(Hook):
    """A clock that a step moves by a minute."""

    now = 0.

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Move the clock."""
        type(self).now += 60


@HOOKS.register_module(force=True)
class Rates(Hook):
    """Notes the learning rate of every step; fails in a validation if it is told to."""

    def __init__(self, fail_in_validation: bool = False) -> None:
        self.rates: list[float] = []
        self.fail_in_validation = fail_in_validation

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Note it."""
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Fail."""
        if self.fail_in_validation:
            raise InterruptedError


@pytest.fixture
def train(tiny_archive, tiny_config, tmp_path):
    """Trains MoCo at tiny size, three steps an epoch, in ``tmp_path``; returns the runner."""

    def run(resume=None, config=MOCO, schedule=None, hook=None, folder=tmp_path, validate=False, **options):
        cfg = tiny_config(tiny_archive, config, **({} if validate else NO_VALIDATION), **options)
        # runs that start in the same second write to one file
        SIZES.update({path: path.stat().st_size for path in folder.rglob('*.log')})
        if schedule:
            cfg.param_scheduler = schedule
        cfg.custom_hooks.append(hook or dict(type='Rates'))
        return run_training(cfg, folder, resume=resume)

    return run


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """Names of the checkpoints in the order in which they were written."""
    names: list[str] = []
    original = RunCheckpointHook._write

    def write(self, runner, name, newest=True):
        original(self, runner, name, newest)
        names.append(name.removesuffix('.pth'))

    monkeypatch.setattr(RunCheckpointHook, '_write', write)
    return names


def files(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob('*.pth'))


def said(runner) -> str:
    """The log of a run as one line."""
    path = Path(runner.log_dir, f'{runner.timestamp}.log')
    return ' '.join(path.read_bytes()[SIZES.get(path, 0):].decode().split())


def steps(runner) -> list[float]:
    return next(hook.rates for hook in runner.hooks if isinstance(hook, Rates))


def test_the_last_ones_milestones_and_the_best_stay(tiny_archive, tiny_config, tmp_path, written):
    cfg = tiny_config(tiny_archive, MOCO, **{
        'train_cfg.max_epochs': 7, 'default_hooks.checkpoint.interval': 2, 'default_hooks.checkpoint.milestones': [1],
        'default_hooks.checkpoint.save_best': BEST, 'param_scheduler.milestones': [3]})
    runner = run_training(cfg, tmp_path)
    values = runner.message_hub.get_scalar(f'val/{BEST}').data[0].tolist()
    assert len(values) == 7
    best = values.index(max(values)) + 1
    assert files(tmp_path) == sorted(['epoch_1', 'epoch_6', 'epoch_7', f'best_knn_backbone_k20_epoch_{best}'])
    # before a validation, and after it
    assert [name for name in written if 'best' not in name] == [f'epoch_{n}' for n in (1, 1, 2, 2, 4, 4, 6, 6, 7, 7)]
    checkpoint = read_checkpoint(tmp_path / f'best_knn_backbone_k20_epoch_{best}.pth')
    assert checkpoint['meta']['epoch'] == best and checkpoint['meta']['iter'] == 3 * best
    assert checkpoint['message_hub']['runtime_info']['best_score'] == max(values)
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_7.pth')


def test_a_best_epoch_that_was_outdone_before_a_kill_goes(train, tmp_path):
    train(validate=True, **{'default_hooks.checkpoint.save_best': BEST})
    best, = (path for path in tmp_path.glob('best_*.pth'))
    number = int(best.stem.rpartition('_')[2])
    # killed after the new best epoch was written, before the one before was removed
    stale = tmp_path / best.name.replace(f'epoch_{number}', f'epoch_{number - 1}')
    stale.write_bytes(best.read_bytes())
    mine = tmp_path / 'best_of_mine.pth'
    mine.write_bytes(best.read_bytes())
    train(resume=best, validate=True, **{'default_hooks.checkpoint.save_best': BEST})
    assert not stale.exists() and mine.exists() and len(list(tmp_path.glob('best_knn*.pth'))) == 1


def test_the_end_of_a_stage_is_a_milestone(train, tmp_path):
    train(config=ACTCLR, **{'train_cfg.max_epochs': 5, 'model.stage_epochs': (1, 4),
                            'default_hooks.checkpoint.max_keep_ckpts': 1})
    assert files(tmp_path) == ['epoch_1', 'epoch_5']


def test_numbers_of_a_stage_leave_the_log_of_a_run_that_goes_on_after_it(train, tmp_path):
    train(config=ACTCLR)
    options = {'train_cfg.max_epochs': 2, 'model.stage_epochs': (1, 1)}
    runner = train(config=ACTCLR, resume=str(tmp_path / 'epoch_1.pth'), folder=tmp_path / 'on', **options)
    names = set(runner.message_hub.log_scalars)
    assert 'train/loss_mining' in names and 'train/loss_nce' not in names


def test_statistics_of_an_epoch_in_two_parts_are_those_of_the_whole(tmp_path):
    lines: list[str] = []
    logger = SimpleNamespace(info=lines.append, warning=lines.append)
    runner = SimpleNamespace(epoch=4, logger=logger, _resume=True)
    whole, first, second = (ActionletStatsHook() for _ in range(3))
    for step, value in enumerate((.2, .5, .3)):
        for hook in (whole, first if step < 2 else second):
            hook.after_train_iter(runner, step, outputs={'mask_mean': value})
        if step == 1:
            checkpoint: dict = {}
            first.before_save_checkpoint(runner, checkpoint)
            second.after_load_checkpoint(runner, checkpoint)
    for hook in (whole, second):
        hook.after_train_epoch(runner)
    assert lines == ['actionlet, epoch 5: mask_mean 0.333'] * 2


def test_the_clock_asks_for_checkpoints_inside_epochs_too(train, tmp_path, written, monkeypatch):
    monkeypatch.setattr(Minutes, 'now', 0.)
    monkeypatch.setattr(run_checkpoint_hook.time, 'monotonic', lambda: Minutes.now)
    train(hook=dict(type='Minutes'), **{
        'train_cfg.max_epochs': 3, 'default_hooks.checkpoint.interval': -1, 'default_hooks.checkpoint.minutes': 1.5})
    # a minute a step: the second step after one without, wherever it lies
    assert written == ['iter_2', 'iter_4', 'epoch_2', 'iter_8', 'epoch_3']
    assert files(tmp_path) == ['epoch_2', 'epoch_3']


def test_a_disk_that_is_full_costs_nothing_that_was_written(train, tmp_path, monkeypatch):
    original = LocalBackend.put

    def put(self, content, path):
        if 'epoch_2' in str(path):
            Path(path).write_bytes(content[:len(content) // 2])
            raise OSError(errno.ENOSPC, 'No space left on device')
        original(self, content, path)

    monkeypatch.setattr(LocalBackend, 'put', put)
    with pytest.raises(RunError, match=r'epoch_2\.pth cannot be written.*No space left.*Free space.*--resume'):
        train()
    assert files(tmp_path) == ['epoch_1'] and not list(tmp_path.glob('.*partial*'))
    assert find_newest(tmp_path) == tmp_path / 'epoch_1.pth'
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    monkeypatch.undo()
    assert len(steps(train(resume='auto'))) == 3


def test_a_damaged_checkpoint_is_left_out_and_nothing_begins_anew_silently(train, tmp_path):
    train()
    newest = tmp_path / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:-1000])
    runner = train(resume='auto')
    assert 'resumed epoch: 1, iter: 3' in said(runner) and len(steps(runner)) == 3
    for path in tmp_path.glob('*.pth'):
        path.write_bytes(path.read_bytes()[:-1000])
    before = {path: path.read_bytes() for path in tmp_path.glob('*.pth')}
    with pytest.raises(DataError, match='all checkpoints to go on from are damaged.*epoch_1.*epoch_2'):
        train(resume='auto')
    assert before == {path: path.read_bytes() for path in tmp_path.glob('*.pth')}


def test_a_run_that_is_done_says_so_and_more_or_fewer_epochs_are_named(train, tmp_path):
    train()
    done = train(resume='auto')
    assert 'all 2 epochs of this run are done' in said(done) and steps(done) == []
    assert 'what differs' not in said(done)
    with pytest.raises(ConfigError, match='has done 2 epochs, train_cfg.max_epochs is 1.*2 or more'):
        train(resume='auto', **{'train_cfg.max_epochs': 1})
    longer = train(resume='auto', **{'train_cfg.max_epochs': 3, 'param_scheduler.milestones': [2],
                                     'optim_wrapper.optimizer.weight_decay': 5e-4, 'default_hooks.non_finite': None,
                                     'default_hooks.peer_watch.patience': 90})
    assert len(steps(longer)) == 3
    assert 'optim_wrapper.optimizer.weight_decay: 0.0001 -> 0.0005; param_scheduler.milestones: [1] -> [2]' \
        in said(longer)
    assert 'default_hooks' not in said(longer).partition('what differs')[2].partition('WARNING')[0]
    assert 'meant for 2 epochs and is now for 3' in said(longer) and 'schedule of the checkpoint' in said(longer)


def test_a_run_that_begins_in_a_used_folder_is_told_and_is_the_one_that_goes_on(train, tmp_path):
    train(**{'train_cfg.max_epochs': 3})
    left = aside_of(tmp_path / 'epoch_4.pth')
    left = left.with_name(f'{left.name.rpartition("-")[0]}-4194304')
    left.write_bytes(b'half')
    runner = train(**{'train_cfg.max_epochs': 2})
    assert 'holds checkpoints of an earlier run (epoch_2.pth, epoch_3.pth)' in said(runner)
    assert find_newest(tmp_path) == tmp_path / 'epoch_2.pth' and not left.exists()


def test_an_interrupted_validation_is_made_up_for(train, tmp_path):
    validation = {'validate': True, 'train_cfg.val_interval': 2}
    with pytest.raises(InterruptedError):
        train(hook=dict(type='Rates', fail_in_validation=True), **validation)
    assert files(tmp_path) == ['epoch_1', 'epoch_2'] and not (tmp_path / 'metrics.json').exists()
    runner = train(resume='auto', **validation)
    assert 'the validation of epoch 2 is made up for' in said(runner) and steps(runner) == []
    assert json.loads((tmp_path / 'metrics.json').read_text())['val']['epoch'] == 2
    again = train(resume='auto', **validation)
    assert 'made up for' not in said(again) and 'all 2 epochs' in said(again)


def test_another_batch_counts_position_and_schedule_anew(train, tmp_path):
    """Half the batch: twice the steps, of which as many are done, and the learning rate of such a run."""
    schedule = dict(type='CosineAnnealingLR', by_epoch=True, T_max=3, convert_to_iter_based=True)
    options = {'train_cfg.max_epochs': 3, 'default_hooks.checkpoint.minutes': 1e-9,
               'default_hooks.checkpoint.max_keep_ckpts': -1}
    train(schedule=schedule, **options)
    half = {**options, 'train_dataloader.batch_size': 3}
    whole = steps(train(schedule=schedule, folder=tmp_path / 'half', **half))
    runner = train(schedule=schedule, resume=str(tmp_path / 'iter_4.pth'), folder=tmp_path / 'on', **half)
    assert len(whole) == 18 and steps(runner) == pytest.approx(whole[8:], rel=1e-9)
    text = said(runner)
    assert 'sequences of a step in each 6 -> 3, global batch 6 -> 3, steps of an epoch 3 -> 6' in text
    assert '2 steps count as done' in text and 'resumed epoch: 1, iter: 8' in text
    assert 'schedule is that of the config' in text
    # more epochs as well: what is said of the schedule of the checkpoint no longer holds
    longer = said(train(schedule=schedule, resume=str(tmp_path / 'iter_4.pth'), folder=tmp_path / 'longer',
                        **{**half, 'train_cfg.max_epochs': 4, 'default_hooks.checkpoint.minutes': None}))
    assert 'meant for 3 epochs and is now for 4' in longer and 'schedule is that of the config' in longer
    assert 'keeps the schedule of the checkpoint' not in longer and 'does not read param_scheduler' not in longer


@pytest.mark.parametrize('options, message', [
    (dict(interval=0), 'interval is 0'), (dict(minutes=0), 'minutes is 0'), (dict(max_keep_ckpts=0), 'max_keep_ckpts'),
    (dict(rule='higher'), "rule is 'higher'")])
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ConfigError, match=f'RunCheckpointHook: {message}'):
        RunCheckpointHook(**options)


def test_what_does_not_go_together_is_named(train, tiny_archive, tiny_config, tmp_path):
    with pytest.raises(ConfigError, match="train_cfg.type is EpochBasedTrainLoop, expected 'ResumableTrainLoop'"):
        train(**{'train_cfg.type': 'EpochBasedTrainLoop'})


def test_a_misspelt_metric_costs_nothing_that_was_trained(train, tmp_path):
    options = {'default_hooks.checkpoint.interval': -1, 'default_hooks.checkpoint.minutes': None}
    with pytest.raises(ConfigError, match=rf"save_best is 'knn/top1', the validation gives {BEST}.*epoch_1\.pth"):
        train(validate=True, **options, **{'default_hooks.checkpoint.save_best': 'knn/top1'})
    assert files(tmp_path) == ['epoch_1']
    runner = train(resume='auto', validate=True, **options, **{'default_hooks.checkpoint.save_best': BEST})
    assert len(steps(runner)) == 3 and (tmp_path / 'epoch_2.pth').is_file()



def test_gradients_of_another_model_are_refused():
    """Dropped in silence they would be an optimiser step that differs from the uninterrupted run's."""
    parameter = torch.nn.Parameter(torch.zeros(2, 3))
    _set_gradients([parameter], torch.arange(6.))
    assert parameter.grad.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match='holds 5 gradients that wait for more batches, the run trains 6 numbers'):
        _set_gradients([parameter], torch.arange(5.))
