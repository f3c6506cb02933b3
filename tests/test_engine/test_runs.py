"""Whole runs at tiny size: both stages, resume, precision, forgotten hooks, evaluation."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmactclr.apis import build_runner, run_test, run_training
from mmactclr.errors import ConfigError
from mmactclr.registry import HOOKS

ACTCLR, MOCO, THREE = 'actclr_joint_ntu60_xsub', 'moco_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'
RECIPES = [ACTCLR, MOCO, THREE, 'actclr_motion_ntu60_xview', 'actclr_bone_ntu120_xset']

NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@HOOKS.register_module(force=True)
class StepRecorder(Hook):
    """Notes what every step returned and in which stage it was taken."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.steps: list[dict] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Keep the outputs."""
        branch = next(iter(runner.model.branches().values()))
        weights = {
            name: module.layers[0].weight.abs().sum().item()
            for name, module in dict(online=branch.projector, key=branch.projector_k).items()
        }
        self.steps.append(
            dict(
                epoch=runner.epoch,
                stage=getattr(branch, 'stage', 1),
                **weights,
                **{name: float(value) for name, value in outputs.items()},
            )
        )


@pytest.fixture(scope='module')
def train(tiny_archive, tiny_config, tmp_path_factory):
    """Trains a config at tiny size; returns the runner and the recorded steps."""

    @functools.cache
    def finished_run(config, amp):
        return fresh_run(config, amp)

    def train(config=ACTCLR, amp=False, without=None, **more):
        return (
            fresh_run(config, amp, without, **more)
            if without or more
            else finished_run(config, amp)
        )

    def fresh_run(config, amp, without=None, **more):
        cfg = tiny_config(tiny_archive, config, split='xsub', **more)
        cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook['type'] != without]
        cfg.default_hooks = {name: hook for name, hook in cfg.default_hooks.items() if hook['type'] != without}
        cfg.custom_hooks.append(dict(type='StepRecorder'))
        runner = run_training(cfg, tmp_path_factory.mktemp('run'), amp=amp)
        return runner, next(hook.steps for hook in runner.hooks if isinstance(hook, StepRecorder))

    return train


@pytest.fixture(scope='module', params=RECIPES)
def finished(request, train):
    """A run of two epochs, one in each stage where there are two."""
    return request.param, *train(request.param)


def test_a_run_takes_every_step_and_switches_at_the_configured_epoch(finished):
    config, runner, steps = finished
    # 18 sequences, 6 a batch
    assert [step['epoch'] for step in steps] == [0] * 3 + [1] * 3
    stages = [1] * 3 + ([2] if 'actclr' in config else [1]) * 3
    assert [step['stage'] for step in steps] == stages
    for step, stage in zip(steps, stages, strict=True):
        term = 'loss_mining' if stage == 2 else 'loss_nce'
        names = [f'{s}.{term}' for s in ('joint', 'motion', 'bone')] if config == THREE else [term]
        losses = [name for name in step if 'loss_' in name]
        assert sorted(losses) == sorted(names)
        assert step['loss'] == pytest.approx(sum(step[name] for name in losses), rel=1e-5)
        assert ('mask_mean' in step or 'joint.mask_mean' in step) == (stage == 2)
    for branch in runner.model.branches().values():
        assert int(branch.memory.filled) == 16 and int(branch.memory.pointer) == 36 % 16
        assert branch.pending_keys is None and not branch.momentum_due
        if 'actclr' in config:
            assert bool(branch.anchor_ready)


def test_only_online_encoders_get_gradients_and_all_of_them_moved(finished):
    _, runner, _ = finished
    start = torch.load(Path(runner.work_dir) / 'epoch_1.pth', weights_only=True)['state_dict']
    momentum = runner.optim_wrapper.optimizer.state
    for name, parameter in runner.model.named_parameters():
        online = '_k.' not in name
        assert parameter.requires_grad == online, name
        assert (parameter in momentum) == online, name
        if online and 'adjacency' not in name:
            assert not torch.equal(parameter.cpu(), start[name]), name
    for branch in runner.model.branches().values():
        for online, key in zip(
            branch.projector.parameters(), branch.projector_k.parameters(), strict=True
        ):
            assert not torch.equal(online, key)


def test_checkpoints_are_readable_and_validation_is_on_file(finished):
    config, runner, _ = finished
    folder = Path(runner.work_dir)
    checkpoint = torch.load(folder / 'epoch_2.pth', weights_only=True)
    assert set(checkpoint) >= {'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'meta'}
    val = json.loads((folder / 'metrics.json').read_text())['val']
    names = ['knn/backbone_k20']
    if config == THREE:
        names += [f'knn/{stream}.backbone_k20' for stream in ('joint', 'motion', 'bone')] + ['knn/backbone_k20_equal']
    assert val['epoch'] == 2 and sorted(val['metrics']) == sorted(names)


def child(tmp_path: Path, root: Path, *arguments: str) -> None:
    """Run tools/train.py in a process of its own: one thread, reproducible arithmetic."""
    environment = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', MKL_CBWR='COMPATIBLE',
                       CUDA_VISIBLE_DEVICES='')
    done = subprocess.run(
        [sys.executable, root / 'tools' / 'train.py', *arguments],
        cwd=tmp_path,
        text=True,
        env=environment,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    tiny_archive, tiny_config, tmp_path, repo_root
):
    cfg, straight, resumed = tmp_path / 'exact.py', tmp_path / 'straight', tmp_path / 'resumed'
    tiny_config(tiny_archive, ACTCLR, **NO_VALIDATION).dump(cfg)
    child(tmp_path, repo_root, str(cfg), '--work-dir', str(straight))
    resumed.mkdir()
    (resumed / 'epoch_1.pth').write_bytes((straight / 'epoch_1.pth').read_bytes())
    (resumed / 'last_checkpoint').write_text(str(resumed / 'epoch_1.pth'))
    child(tmp_path, repo_root, str(cfg), '--work-dir', str(resumed), '--resume')
    log = next(resumed.glob('*/*.log')).read_text()
    assert 'resumed epoch: 1' in log and 'dataset metainfo' not in log
    a, b = (torch.load(folder / 'epoch_2.pth', weights_only=True) for folder in (straight, resumed))
    assert_same(a['state_dict'], b['state_dict'])
    assert_same(a['optimizer'], b['optimizer'])
    assert_same(a['param_schedulers'], b['param_schedulers'])


def assert_same(a, b, where='') -> None:
    """Equal types, keys and bits, recursively."""
    assert type(a) is type(b), where
    if torch.is_tensor(a):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f'{where}/{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f'{where}/{i}')
    else:
        assert a == b, where


def test_resume_takes_the_named_checkpoint(train, tiny_archive, tiny_config, tmp_path):
    runner, _ = train(MOCO, **NO_VALIDATION)
    cfg = tiny_config(tiny_archive, MOCO, **NO_VALIDATION)
    cfg.custom_hooks.append(dict(type='StepRecorder'))
    resumed = run_training(cfg, tmp_path, resume=str(Path(runner.work_dir) / 'epoch_1.pth'))
    steps = next(hook.steps for hook in resumed.hooks if isinstance(hook, StepRecorder))
    assert [step['epoch'] for step in steps] == [1] * 3 and resumed.iter == 6
    # what one process computes twice agrees far beyond what another order of batches would give
    torch.testing.assert_close(
        resumed.model.state_dict(), runner.model.state_dict(), atol=1e-4, rtol=1e-4
    )


def test_bf16_reaches_the_encoder_and_nothing_else(train, monkeypatch):
    """Dtypes as seen at the door of every part while a bf16 run trains."""
    from mmactclr.models.backbones.stgcn import STGCNUnit
    from mmactclr.models.data_preprocessor import ContrastivePreprocessor
    from mmactclr.models.heads import ActionletHead
    from mmactclr.models.losses import InfoNCELoss, SimilarityMiningLoss
    from mmactclr.models.necks import ProjectionMLP

    seen: dict[str, set] = {}

    def watch(cls, name='forward'):
        original = getattr(cls, name)

        def wrapped(self, *args, **kwargs):
            out = original(self, *args, **kwargs)
            if self.training:
                seen.setdefault(cls.__name__, set()).update(dtypes((args, out)))
                assert cls is STGCNUnit or not torch.is_autocast_enabled('cpu'), cls
            return out

        monkeypatch.setattr(cls, name, wrapped)

    def dtypes(value):
        if torch.is_tensor(value):
            return {value.dtype} if value.is_floating_point() else set()
        if isinstance(value, dict):
            value = value.values()
        return (
            set().union(*map(dtypes, value))
            if isinstance(value, (tuple, list, type({}.values())))
            else set()
        )

    for cls in (
        STGCNUnit,
        ContrastivePreprocessor,
        ActionletHead,
        InfoNCELoss,
        SimilarityMiningLoss,
        ProjectionMLP,
    ):
        watch(cls)
    runner, steps = train(ACTCLR, amp=True)
    assert torch.bfloat16 in seen.pop('STGCNUnit')
    assert set(seen) == {
        'ContrastivePreprocessor',
        'ActionletHead',
        'InfoNCELoss',
        'SimilarityMiningLoss',
        'ProjectionMLP',
    }
    assert all(kinds == {torch.float32} for kinds in seen.values()), seen
    assert all(p.dtype == torch.float32 for p in runner.model.parameters())
    assert len(steps) == 6 and all(torch.isfinite(torch.tensor(step['loss'])) for step in steps)
    # features after the run are those that test.py extracts, without autocast
    assert runner.model.autocast_dtype is None


def test_bf16_losses_stay_close_to_fp32(train):
    full, low = (train(MOCO, amp=amp)[1] for amp in (False, True))
    losses = [[step['loss'] for step in steps] for steps in (full, low)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize(
    'hook, config',
    [
        ('MemoryBankHook', MOCO),
        ('MemoryBankHook', ACTCLR),
        ('MemoryBankHook', THREE),
        ('MomentumUpdateHook', MOCO),
        ('MomentumUpdateHook', THREE),
        ('StaticAnchorHook', ACTCLR),
        ('StaticAnchorHook', THREE),
        ('TrainingProgressHook', MOCO),
        ('TrainingProgressHook', THREE),
    ],
)
def test_a_forgotten_hook_is_named(train, config, hook):
    with pytest.raises(ConfigError, match=f'{hook} is missing from (custom|default)_hooks.*add .*dict.*{hook}'):
        train(config, without=hook)


def test_gradient_accumulation_steps_when_the_wrapper_says(train):
    """Three batches accumulated: once an epoch the weights move, and the key encoder."""
    runner, steps = train(THREE, **{'optim_wrapper.accumulative_counts': 3}, **NO_VALIDATION)
    assert len(steps) == 6 and runner.optim_wrapper._inner_count == 6
    for name in ('online', 'key'):
        values = [step[name] for step in steps]
        assert values[0] == values[1] != values[2] == values[3] == values[4] != values[5], name


def test_evaluation_writes_baselines_and_repeats_itself(train, tiny_archive, tiny_config, tmp_path):
    runner, _ = train(ACTCLR)
    checkpoint = Path(runner.work_dir) / 'epoch_2.pth'
    cfg = tiny_config(tiny_archive, ACTCLR)
    first, second = (
        run_test(tiny_config(tiny_archive, ACTCLR), checkpoint, tmp_path / name) for name in 'ab'
    )
    assert first == second
    content = json.loads((tmp_path / 'a' / 'metrics.json').read_text())['test']
    assert content['metrics'] == first and content['epoch'] == 2
    for name in cfg.test_cfg.baselines:
        assert 0.0 <= first[f'{name}/knn/backbone_k20'] <= 100.0
    assert {'knn/backbone_k20', 'knn/projection_k20', 'linear/backbone_top1'} < set(first)
    # mean velocity knows which arm moves, whatever the body
    assert first['mean_joint_velocity/knn/backbone_k1'] == 100.0


def test_the_untrained_baseline_keeps_nothing_of_training(
    train, tiny_archive, tiny_config, tmp_path
):
    """Its weights are those that the run started from."""
    runner, _ = train(
        ACTCLR, **{'optim_wrapper.optimizer.lr': 1e-12, 'optim_wrapper.optimizer.weight_decay': 0.0}
    )
    start = {name: value.clone() for name, value in runner.model.backbone.named_parameters()}
    trained, _ = train(ACTCLR)
    cfg = tiny_config(tiny_archive, ACTCLR)
    cfg.load_from = str(Path(trained.work_dir) / 'epoch_2.pth')
    for name in (
        'train_dataloader',
        'train_cfg',
        'optim_wrapper',
        'param_scheduler',
        'val_dataloader',
        'val_cfg',
        'val_evaluator',
    ):
        cfg[name] = None
    tester = build_runner(cfg, tmp_path)
    tester.test()
    untrained = tester.test_loop._baseline_model('untrained')
    for name, value in untrained.backbone.named_parameters():
        torch.testing.assert_close(value, start[name], atol=1e-6, rtol=0, msg=name)
        assert (
            not torch.equal(tester.model.state_dict()[f'backbone.{name}'], value)
            or not value.requires_grad
        ), name
