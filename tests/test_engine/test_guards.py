"""Guards around a training: collapse, data that change, what does not fit, the line to run it again, lost processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from torch.utils.data import ConcatDataset

from mmactclr.apis import build_runner, run_training
from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.engine import CollapseHook, PeerWatchHook
from mmactclr.engine.data_fit import check_data_fits
from mmactclr.engine.data_watch import DataWatch, archives_of
from mmactclr.engine.hooks.collapse_hook import effective_rank, spread
from mmactclr.engine.hooks.run_line_hook import code_version
from mmactclr.errors import ConfigError, DataError, RunError
from mmactclr.registry import HOOKS
from mmactclr.version import __version__

from ..conftest import TINY_LAYOUT

MOCO, ACTCLR, THREE = 'moco_joint_ntu60_xsub', 'actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@pytest.fixture
def own_archive(tmp_path, write_tiny_archive) -> Path:
    """A tiny archive that a test may spoil."""
    write_tiny_archive(tmp_path / 'own')
    return tmp_path / 'own'


@HOOKS.register_module(force=True)
class Meddler(Hook):
    """Does something after the last step of the first epoch."""

    priority = 'LOWEST'
    what = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Do it."""
        if runner.iter == 2:
            Meddler.what(runner)


def log_of(folder: Path) -> str:
    """The log files of a run."""
    return '\n'.join(path.read_text() for path in folder.glob('*/*.log'))


# which there are

def test_guards_are_left_out_where_they_are_none(tiny_archive, tiny_config, tmp_path):
    names = {'non_finite': 'NonFiniteHook', 'collapse': 'CollapseHook', 'timer': 'IterTimerHook'}
    runner = build_runner(tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{
        f'default_hooks.{name}': None for name in names}), tmp_path)
    kinds = [type(hook).__name__ for hook in runner.hooks]
    assert not {*names.values()} & {*kinds} and {'DataGuardHook', 'RunCheckpointHook', 'LoggerHook'} <= {*kinds}


@pytest.mark.parametrize('option, value', [('chekpoint.interval', 1), ('chekpoint', None), ('chekpoint', {'a': 1})])
def test_a_misspelt_hook_is_named(option, value, tiny_archive, tiny_config):
    with pytest.raises(ConfigError, match=rf"default_hooks.{option}: there is no hook 'chekpoint'.*mean checkpoint"):
        tiny_config(tiny_archive, MOCO, **{f'default_hooks.{option}': value})
    # one of somebody's own
    cfg = tiny_config(tiny_archive, MOCO, **{'default_hooks.mine.type': 'EMAHook', 'default_hooks.mine.momentum': 0.1})
    assert cfg.default_hooks.mine.momentum == 0.1


def test_a_misspelt_hook_of_a_file_is_named(tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, MOCO)
    cfg.default_hooks.chekpoint = dict(interval=1)
    with pytest.raises(ConfigError, match=r'default_hooks.chekpoint has no type.*did you mean checkpoint'):
        build_runner(cfg, tmp_path)


# collapse

def test_spread_and_rank_of_points_whose_values_are_known():
    generator = torch.Generator().manual_seed(0)
    sphere = torch.nn.functional.normalize(torch.randn(4000, 16, generator=generator), dim=1)
    assert spread(sphere) == pytest.approx(1.0, abs=0.01) and effective_rank(sphere) == pytest.approx(16.0, abs=0.1)
    assert spread(torch.eye(16)[:1].repeat(9, 1)) == 0 and effective_rank(torch.eye(16)[:1].repeat(9, 1)) == \
        pytest.approx(1.0)
    # two opposite directions: far apart, of one dimension
    line = torch.eye(16)[:1] * torch.tensor([[1.0], [-1.0]])
    assert spread(line) == pytest.approx(1.0) and effective_rank(line) == pytest.approx(1.0)
    # 1 - spread^2 is the mean cosine of all pairs, a point with itself included
    assert 1 - spread(sphere[:50]) ** 2 == pytest.approx(float((sphere[:50] @ sphere[:50].T).mean()), abs=1e-5)
    assert effective_rank(torch.eye(16)[:5]) == pytest.approx(5.0)


@pytest.mark.parametrize('config', [MOCO, THREE])
def test_collapsed_features_are_warned_of_once_or_stop_the_run(tiny_archive, tiny_config, tmp_path, config):
    """A projector whose bias is all that is left gives every sequence the same key."""
    options = {**NO_VALIDATION, 'default_hooks.collapse.interval': 1, 'default_hooks.collapse.begin': 1}
    if '_3s_' in config:
        options['model.branch.stage_epochs'] = (2, 0)

    def collapse(runner):
        for branch in runner.model.branches().values():
            for projector in (branch.projector, branch.projector_k):
                projector.layers[-1].weight.data.zero_()
                projector.layers[-1].bias.data.fill_(1.0)
            branch.memory.keys.copy_(torch.full((1, 4), 0.5))

    Meddler.what = staticmethod(collapse)
    cfg = tiny_config(tiny_archive, config, **options)
    cfg.custom_hooks.append(dict(type='Meddler'))
    run_training(cfg, tmp_path / 'warned')
    warnings = [line for line in log_of(tmp_path / 'warned').splitlines() if 'the features collapse' in line]
    # spread and rank, of every stream
    assert len(warnings) == 2 * (3 if config == THREE else 1)
    assert any('spread is 0.000 at iteration 4 (epoch 2)' in line for line in warnings)
    cfg = tiny_config(tiny_archive, config, **options, **{'default_hooks.collapse.stop': True})
    cfg.custom_hooks.append(dict(type='Meddler'))
    with pytest.raises(RunError, match='the features collapse: .*spread is 0.000 at iteration 4'):
        run_training(cfg, tmp_path / 'stopped')


def test_healthy_features_are_logged_and_not_warned_of(tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{'default_hooks.collapse.interval': 2})
    runner = run_training(cfg, tmp_path)
    log = log_of(tmp_path)
    assert 'the features collapse' not in log and 'features in the memory, iteration 6: spread' in log
    noted = runner.message_hub.get_scalar('features/spread').current()
    assert noted == pytest.approx(spread(runner.model.memory.valid()))


@pytest.mark.parametrize('share, what', [(0.0, 'nothing'), (1.0, 'everything')])
def test_degenerate_masks_are_warned_of(share, what, monkeypatch, tiny_archive, tiny_config, tmp_path):
    from mmactclr.models.heads import ActionletHead
    monkeypatch.setattr(ActionletHead, 'region', lambda self, raw, frames: torch.full(
        (raw.shape[0], frames, raw.shape[2]), share))
    cfg = tiny_config(tiny_archive, ACTCLR, **NO_VALIDATION, **{'default_hooks.collapse.interval': 1})
    run_training(cfg, tmp_path)
    assert log_of(tmp_path).count(f'the actionlet selects {what}: mask_mean is {share:.0f} at iteration 4') == 1


def test_arguments_of_hooks_out_of_range_are_refused():
    for arguments in (dict(interval=0), dict(begin=-1), dict(min_spread=1.0), dict(min_rank=0.5)):
        with pytest.raises(ConfigError, match='CollapseHook'):
            CollapseHook(**arguments)
    for arguments in (dict(interval=0), dict(patience=10, interval=5)):
        with pytest.raises(ConfigError, match='PeerWatchHook'):
            PeerWatchHook(**arguments)


# data that change

def cut(path: Path) -> None:
    """Cut a file short."""
    os.truncate(path, path.stat().st_size // 2)


def edit(path: Path) -> None:
    """Change a byte in the middle, so that the size stays."""
    with path.open('r+b') as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


@pytest.mark.parametrize('change, file, message', [
    (cut, 'keypoints.npy', r'own/keypoints.npy was cut short .*bytes, at the start'),
    (edit, 'index.npz', r'own/index.npz was changed'),
    (edit, 'prepared', r'prepared/\w+/keypoints.npy was changed'),
    (Path.unlink, 'meta.json', r'own/meta.json is gone')])
def test_data_that_change_stop_the_run_before_they_are_in_a_checkpoint(
        own_archive, tiny_config, tmp_path, change, file, message):
    def meddle(_):
        change(next((own_archive / 'prepared').glob('*/keypoints.npy')) if file == 'prepared' else own_archive / file)

    Meddler.what = staticmethod(meddle)
    cfg = tiny_config(own_archive, MOCO, **NO_VALIDATION)
    cfg.custom_hooks.append(dict(type='Meddler'))
    with pytest.raises(RunError, match=f'epoch 1: .*{message}.*no checkpoint yet.*--resume'):
        run_training(cfg, tmp_path / 'run')
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_files_that_were_only_touched_or_made_again_are_fine(own_archive, tmp_path, write_tiny_archive):
    dataset = SkeletonDataset(own_archive, layout=TINY_LAYOUT, num_frames=16)
    watch = DataWatch([ConcatDataset([dataset, dataset])])
    watch.check()
    for path in (own_archive / 'keypoints.npy', own_archive / 'index.npz', own_archive / 'meta.json'):
        os.utime(path)
    prepared = next(own_archive.glob('prepared/*'))
    shutil.copytree(prepared, tmp_path / 'again')
    shutil.rmtree(prepared)
    shutil.move(tmp_path / 'again', prepared)
    watch.check()
    assert {str(archive.path) for archive, _ in archives_of(dataset)} == {str(own_archive)}
    write_tiny_archive(tmp_path / 'other', frames=21)
    shutil.rmtree(own_archive)
    shutil.move(tmp_path / 'other', own_archive)
    with pytest.raises(DataError, match='changed'):
        watch.check()


def test_a_checkpoint_of_other_data_is_not_gone_on_from(own_archive, tiny_config, tmp_path, write_tiny_archive):
    options = {**NO_VALIDATION, 'train_cfg.max_epochs': 1}
    run_training(tiny_config(own_archive, MOCO, **options), tmp_path / 'run')
    before = SkeletonArchive.open(own_archive).checksum
    shutil.rmtree(own_archive)
    write_tiny_archive(own_archive, frames=21)
    now = SkeletonArchive.open(own_archive).checksum
    with pytest.raises(RunError, match=f'{before[:12]}.*{now[:12]}.*load_from=.*epoch_1.pth.*allow_other'):
        run_training(tiny_config(own_archive, MOCO, **NO_VALIDATION), tmp_path / 'run', resume='auto')
    cfg = tiny_config(own_archive, MOCO, **NO_VALIDATION, **{'default_hooks.data_guard.allow_other': True})
    assert run_training(cfg, tmp_path / 'run', resume='auto').epoch == 2
    assert 'goes on with the new ones' in log_of(tmp_path / 'run')


# what does not fit

def fit(cfg, folder) -> None:
    """Check a config without training."""
    check_data_fits(build_runner(cfg, folder))


def test_what_does_not_fit_is_named_before_the_first_step(tiny_archive, tiny_config, tmp_path):
    fit(tiny_config(tiny_archive, THREE), tmp_path)
    cases = [
        (ACTCLR, {'model.num_frames': 20}, 'num_frames=20, the training set is prepared with 2 and 16'),
        (ACTCLR, {'model.max_persons': 1}, 'max_persons=1 and num_frames=16'),
        (MOCO, {'model.layout': 'ntu25', 'model.backbone.layout': 'ntu25'},
         r"layout 'ntu25' \(25 joints\), the training set has 'kinect20_utdmhad' \(20 joints\)"),
        (MOCO, {'model.backbone.in_channels': 2}, 'backbone.in_channels is 2, the training set has 3'),
        (MOCO, {'train_dataloader.batch_size': 19}, '18 training sequences make no full batch of batch_size=19'),
        (MOCO, {'model.stream': 'bone'}, r"trains the streams \['bone'\], data_preprocessor.streams is \['joint'\]")]
    for config, options, message in cases:
        cfg = tiny_config(tiny_archive, config)
        # afterwards: fields that are stated at the top reach every place
        cfg.merge_from_dict(options)
        with pytest.raises(ConfigError, match=message):
            fit(cfg, tmp_path)


def test_a_view_that_only_stage_two_needs_is_missed_at_once(tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, ACTCLR)
    del cfg.model.data_preprocessor.views['non']
    with pytest.raises(ConfigError, match=r"in epoch 2 the method asks for the views \['non'\].*add them"):
        fit(cfg, tmp_path)
    # the method stands where it stood
    runner = build_runner(tiny_config(tiny_archive, ACTCLR), tmp_path)
    check_data_fits(runner)
    assert runner.model.epoch == 0 and runner.model.stage == 1


def test_a_memory_that_does_not_suit_the_data_is_warned_of(tiny_archive, tiny_config, tmp_path, caplog):
    for size, message in ((64, 'more than the 18 training sequences'), (4, 'less than the 6 keys of a step')):
        runner = build_runner(tiny_config(tiny_archive, MOCO, **{'model.memory.size': size}), tmp_path / str(size))
        said = []
        runner.logger.addFilter(lambda record, said=said: said.append(record.getMessage()) or True)
        check_data_fits(runner)
        assert any(message in text for text in said), message


def test_labels_that_no_score_is_for(tiny_archive, tiny_config, tmp_path):
    class Head(torch.nn.Module):
        num_classes = 2

    runner = build_runner(tiny_config(tiny_archive, MOCO), tmp_path)
    runner.model.head = Head()
    with pytest.raises(ConfigError, match='num_classes=2, the training set has labels up to 2'):
        check_data_fits(runner)
    runner.train_dataloader.dataset.labels = np.full(18, -1)
    with pytest.raises(DataError, match='18 of 18 training sequences have no label'):
        check_data_fits(runner)


# the line to run it again

def test_a_run_says_what_it_is_made_of_at_every_start(tiny_archive, tiny_config, tmp_path):
    for epochs in (1, 2):
        cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{'train_cfg.max_epochs': epochs})
        run_training(cfg, tmp_path, resume='auto')
    first, second = json.loads((tmp_path / 'run.json').read_text())
    checksum = SkeletonArchive.open(tiny_archive).checksum
    for entry in (first, second):
        assert entry['versions']['mmactclr'] == __version__ and entry['versions']['torch'] == torch.__version__
        assert entry['data'] == {str(tiny_archive): checksum} and entry['seed'] == 0 and entry['processes'] == 1
        assert entry['threads'] == torch.get_num_threads() and sys.argv[0] in entry['command']
        assert Path(entry['config']).is_file()
    assert (first['epoch'], first['iteration'], first['resumed_from']) == (0, 0, None)
    assert (second['epoch'], second['iteration']) == (1, 3) and second['resumed_from'].endswith('epoch_1.pth')
    lines = [line for line in log_of(tmp_path).splitlines() if ' run: ' in line]
    for entry in (first, second):
        words = (__version__, torch.__version__, checksum[:12], 'seed 0', '1 processes', entry['recipe'],
                 f'from epoch {entry["epoch"]}, iteration {entry["iteration"]}')
        assert sum(all(word in line for word in words) for line in lines) == 1, words


def test_what_is_no_list_of_runs_is_put_aside(tiny_archive, tiny_config, tmp_path):
    (tmp_path / 'run.json').write_text('not JSON')
    run_training(tiny_config(tiny_archive, MOCO, **NO_VALIDATION, **{'train_cfg.max_epochs': 1}), tmp_path)
    assert len(json.loads((tmp_path / 'run.json').read_text())) == 1
    assert (tmp_path / 'run.json.unreadable').read_text() == 'not JSON'


def test_the_commit_is_that_of_the_code_alone(tmp_path):
    def git(*arguments):
        return subprocess.run(['git', '-C', tmp_path, '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments],
                              check=True, capture_output=True, text=True).stdout.strip()

    assert code_version(tmp_path) is None
    git('init', '-q')
    (tmp_path / 'errors.py').write_text('')
    assert code_version(tmp_path) is None, 'a package that lies in a checkout of something else'
    git('add', '.')
    git('commit', '-qm', 'first')
    assert code_version(tmp_path) == dict(commit=git('rev-parse', 'HEAD'), changed=False)
    (tmp_path / 'notes.txt').write_text('new files do not count')
    assert not code_version(tmp_path)['changed']
    (tmp_path / 'errors.py').write_text('x = 1')
    assert code_version(tmp_path)['changed']
