"""Every hook on its own, with a stand-in for the runner, against what it promises."""

import io
import json
import logging
import sys
from collections import Counter, OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from mmengine.logging import HistoryBuffer
from mmengine.optim import MultiStepLR, OptimWrapper
from torch import nn

from mmactclr.datasets import SkeletonDataset
from mmactclr.engine import (
    ActionletStatsHook,
    MemoryBankHook,
    MetricsFileHook,
    MomentumUpdateHook,
    ProgressHook,
    SafeCheckpointHook,
    StaticAnchorHook,
    TrainingProgressHook,
)
from mmactclr.engine.hooks.progress_hook import format_duration
from mmactclr.engine.hooks.static_anchor_hook import mean_motion
from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS
from mmactclr.transforms import to_stream


@pytest.fixture
def build(tiny_archive, tiny_config):
    """Builds the model of one of the configs at tiny size."""

    def build(config='actclr_joint_ntu60_xsub', **more):
        model = MODELS.build(tiny_config(tiny_archive, config, **more).model)
        model.init_weights()
        return model

    return build


def keys_of(n: int, seed: int) -> torch.Tensor:
    return nn.functional.normalize(
        torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)), dim=1
    )


@pytest.mark.parametrize('config', ['moco_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'])
def test_memory_takes_the_pending_keys_of_every_branch_once(build, config):
    model = build(config)
    runner, hook = SimpleNamespace(model=model), MemoryBankHook()
    for number, branch in enumerate(model.branches().values()):
        branch.pending_keys = keys_of(5, number)
    hook.after_train_iter(runner, 0)
    with pytest.raises(ConfigError, match='left no keys for its memory'):
        hook.after_train_iter(runner, 1)
    for number, branch in enumerate(model.branches().values()):
        torch.testing.assert_close(branch.memory.valid(), keys_of(5, number), atol=0, rtol=0)
        assert branch.pending_keys is None


def test_momentum_moves_parameters_only_and_only_when_the_optimiser_stepped(build):
    model = build('moco_joint_ntu60_xsub')
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1), accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 6)
    runner, hook = (
        SimpleNamespace(model=model, optim_wrapper=wrapper),
        MomentumUpdateHook(momentum=0.75),
    )
    with torch.no_grad():
        for parameter in [*model.backbone.parameters(), *model.projector.parameters()]:
            parameter.add_(torch.rand_like(parameter))
    for buffer in model.backbone.buffers():
        if buffer.is_floating_point():
            buffer.add_(1.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    for step in range(1, 4):
        wrapper.backward(sum(p.sum() for p in model.projector.parameters()) * 0.0)
        model.momentum_due = True
        hook.after_train_iter(runner, step - 1)
        assert not model.momentum_due
        moved = [
            name
            for name, value in model.state_dict().items()
            if not torch.equal(value, before[name])
        ]
        key_parameters = [
            name for name, p in model.named_parameters() if name.split('.')[0].endswith('_k')
        ]
        assert moved == (
            [] if step < 3 else [name for name in model.state_dict() if name in key_parameters]
        )
    after = model.state_dict()
    for name in key_parameters:
        online = before[name.replace('backbone_k', 'backbone').replace('projector_k', 'projector')]
        torch.testing.assert_close(
            after[name].double(),
            0.75 * before[name].double() + 0.25 * online.double(),
            atol=1e-6,
            rtol=1e-6,
        )


def test_the_key_encoder_waits_where_a_loss_scaler_leaves_the_step_out(build):
    """A real scaler, one step whose gradients are infinite between two that are not."""
    model = build('moco_joint_ntu60_xsub')
    weight, key = model.projector.layers[0].weight, model.projector_k.layers[0].weight
    optimizer, scaler = torch.optim.SGD([weight], 0.1), torch.amp.GradScaler('cpu', init_scale=4.0)
    wrapper = SimpleNamespace(should_update=lambda: True, loss_scaler=scaler)
    runner, hook = SimpleNamespace(model=model, optim_wrapper=wrapper), MomentumUpdateHook(0.5)
    hook.before_train(runner)
    moved = []
    for factor in (1.0, float('inf'), 1.0):
        before = weight.detach().clone(), key.detach().clone()
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        model.momentum_due = True
        hook.after_train_iter(runner, 0)
        assert not model.momentum_due
        moved.append([not torch.equal(a, b) for a, b in zip(before, (weight, key), strict=True)])
    assert moved == [[True, True], [False, False], [True, True]]


@pytest.mark.parametrize('momentum', [-0.1, 1.01])
def test_momentum_outside_its_range_is_refused(momentum):
    with pytest.raises(ConfigError, match='momentum'):
        MomentumUpdateHook(momentum)


def test_progress_reaches_every_branch_and_preprocessor(build):
    model = build('actclr_3s_ntu60_xsub')
    runner = SimpleNamespace(model=model, seed=5, epoch=7, iter=11)
    TrainingProgressHook().before_train_iter(runner, 0)
    for module in [model, model.data_preprocessor, *model.branches().values()]:
        assert (module.seed, module.epoch, module.iteration, module.rank) == (5, 7, 11, 0)


def run_of(model, epochs: int) -> SimpleNamespace:
    return SimpleNamespace(model=model, max_epochs=epochs, train_loop=SimpleNamespace())


@pytest.mark.parametrize(
    'config, field',
    [('actclr_joint_ntu60_xsub', 'model'), ('actclr_3s_ntu60_xsub', 'model.branch')],
)
def test_stages_fill_the_run(build, config, field):
    hook, model = TrainingProgressHook(), build(config)
    hook.before_train(run_of(model, 2))
    for epochs in (1, 3):
        says = rf'{field}\.stage_epochs is \(1, 1\), 2 epochs.* runs {epochs} .*stage_epochs={epochs},0'
        with pytest.raises(ConfigError, match=says):
            hook.before_train(run_of(model, epochs))
    hook.before_train(run_of(build(config, **{f'{field}.stage_epochs': (3, 0)}), 3))
    hook.before_train(run_of(build('moco_joint_ntu60_xsub'), 7))


@pytest.mark.parametrize('stages', [(3,), (1, -1), (1, 1, 1)])
def test_stages_are_two_numbers(build, stages):
    with pytest.raises(ConfigError, match='stage_epochs is .* expected two numbers'):
        build(**{'model.stage_epochs': stages})


def test_hooks_of_methods_refuse_other_models():
    with pytest.raises(ConfigError, match='MemoryBankHook.*BaseAlgorithm.*Linear'):
        MemoryBankHook().after_train_iter(SimpleNamespace(model=nn.Linear(1, 1)), 0)


@pytest.mark.parametrize('wrapped', [False, True])
def test_static_anchor_is_the_mean_of_the_training_set(tiny_archive, build, wrapped):
    dataset = SkeletonDataset(tiny_archive, num_frames=16)
    expected = dataset.prepared.astype(np.float64).mean(0)
    config = dict(type='mmactclr.SkeletonDataset', data_root=tiny_archive, num_frames=16)
    data = ConcatDataset([config, config]) if wrapped else dataset
    np.testing.assert_allclose(mean_motion(data, chunk=5).numpy(), expected, atol=1e-6)

    model = build('actclr_3s_ntu60_xsub')
    runner = SimpleNamespace(
        model=model,
        _resume=False,
        train_dataloader=SimpleNamespace(dataset=data),
        logger=logging.getLogger('anchor'),
    )
    StaticAnchorHook().before_train(runner)
    for stream, branch in model.branches().items():
        in_stream = to_stream(torch.from_numpy(expected), stream, dataset.archive.layout)
        np.testing.assert_allclose(branch.anchor.numpy(), in_stream.numpy(), atol=1e-6)
        branch.anchor.fill_(3.0)
    runner._resume = True
    StaticAnchorHook().before_train(runner)
    assert all((branch.anchor == 3.0).all() for branch in model.branches().values())


def test_an_anchor_that_follows_the_keys_moves_after_every_step(tiny_archive, build):
    model = build('actclr_3s_ntu60_xsub', **{'model.branch.anchor': 'ema'})
    runner = SimpleNamespace(model=model, _resume=False, logger=logging.getLogger('anchor'))
    hook = StaticAnchorHook(momentum=0.75)
    hook.before_train(runner)
    assert not any(branch.anchor_ready for branch in model.branches().values())
    for value in (4.0, 8.0):
        for branch in model.branches().values():
            branch.pending_anchor = torch.full_like(branch.anchor, value)
        hook.after_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)
    assert all((branch.anchor == 5.0).all() for branch in model.branches().values())


@pytest.mark.parametrize('momentum', [-0.1, 1.5])
def test_anchor_momentum_outside_its_range_is_refused(momentum):
    with pytest.raises(ConfigError, match=f'StaticAnchorHook: momentum is {momentum}'):
        StaticAnchorHook(momentum)


def test_static_anchor_of_another_size_is_refused(tiny_archive, build):
    dataset = SkeletonDataset(tiny_archive, num_frames=12)
    runner = SimpleNamespace(
        model=build(), _resume=False, train_dataloader=SimpleNamespace(dataset=dataset)
    )
    with pytest.raises(ConfigError, match=r'\(2, 16, 20, 3\).*\(2, 12, 20, 3\).*num_frames'):
        StaticAnchorHook().before_train(runner)


@pytest.mark.parametrize(
    'mean, share, warns',
    [(0.0, 0.0, True), (1.0, 1.0, True), (0.3, 0.28, False), (0.05, 0.001, True)],
)
def test_actionlet_statistics_warn_when_the_mask_is_degenerate(caplog, mean, share, warns):
    hook, logger = ActionletStatsHook(), logging.getLogger('actionlet-stats')
    runner = SimpleNamespace(logger=logger, epoch=4)
    with caplog.at_level(logging.INFO, logger='actionlet-stats'):
        hook.before_train_epoch(runner)
        for offset in (-1e-4, 1e-4):
            hook.after_train_iter(
                runner,
                0,
                outputs={
                    'loss': torch.tensor(1.0),
                    'bone.mask_mean': torch.tensor(mean + offset),
                    'mask_share': torch.tensor(share),
                },
            )
        hook.after_train_epoch(runner)
    assert f'bone.mask_mean {mean:.3f}' in caplog.text and 'epoch 5' in caplog.text
    assert any(record.levelno == logging.WARNING for record in caplog.records) == warns


@pytest.mark.parametrize(
    'values, mean, warns',
    [((0.2, float('nan'), 0.4), '0.300', False), ((float('nan'),), 'nan', True)],
)
def test_actionlet_statistics_leave_out_what_is_not_finite(caplog, values, mean, warns):
    hook = ActionletStatsHook()
    runner = SimpleNamespace(logger=logging.getLogger('actionlet-stats'), epoch=0)
    with caplog.at_level(logging.INFO, logger='actionlet-stats'):
        hook.before_train_epoch(runner)
        for value in values:
            hook.after_train_iter(runner, 0, outputs={'mask_mean': torch.tensor(value)})
        hook.after_train_epoch(runner)
    assert f'mask_mean {mean}' in caplog.text
    assert any(record.levelno == logging.WARNING for record in caplog.records) == warns


def test_actionlet_statistics_are_silent_in_stage_one(caplog):
    hook, runner = (
        ActionletStatsHook(),
        SimpleNamespace(logger=logging.getLogger('actionlet-stats'), epoch=0),
    )
    with caplog.at_level(logging.INFO, logger='actionlet-stats'):
        hook.before_train_epoch(runner)
        hook.after_train_iter(runner, 0, outputs={'loss': torch.tensor(1.0)})
        hook.after_train_epoch(runner)
    assert not caplog.records


def safe_runner(model) -> SimpleNamespace:
    return SimpleNamespace(model=model, cfg={}, _load_from='file.pth', _train_loop={}, _resume=False)


def test_checkpoints_load_without_unpickling_code_and_come_back(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = MultiStepLR(optimizer, milestones=[2, 2, 5])
    history = HistoryBuffer([1.0, 2.5], [1, 1], max_length=100)
    checkpoint = dict(
        state_dict=OrderedDict(model.state_dict()),
        optimizer=optimizer.state_dict(),
        param_schedulers=[scheduler.state_dict()],
        message_hub=dict(
            log_scalars=OrderedDict({'train/loss': history}),
            runtime_info=OrderedDict(eta=np.float64(2.0)),
        ),
        meta=dict(
            epoch=3,
            dataset_meta=dict(
                classes=('a', 'b'), weights=np.arange(3.0), layout_names=np.array(['x'])
            ),
        ),
    )
    with pytest.raises(Exception, match='(?i)weights.only'):
        torch.save(checkpoint, tmp_path / 'plain.pth')
        torch.load(tmp_path / 'plain.pth', weights_only=True)

    hook, runner = SafeCheckpointHook(), safe_runner(model)
    hook.before_save_checkpoint(runner, checkpoint)
    torch.save(checkpoint, tmp_path / 'safe.pth')
    loaded = torch.load(tmp_path / 'safe.pth', weights_only=True)
    hook.after_load_checkpoint(runner, loaded)

    back = loaded['message_hub']['log_scalars']['train/loss']
    assert (
        isinstance(back, HistoryBuffer)
        and back.data[0].tolist() == [1.0, 2.5]
        and back.max_length == 100
    )
    assert back.mean(2) == 1.75
    milestones = loaded['param_schedulers'][0]['milestones']
    assert isinstance(milestones, Counter) and milestones == Counter({2: 2, 5: 1})
    assert loaded['meta']['dataset_meta']['classes'] == ('a', 'b')
    assert loaded['message_hub']['runtime_info']['eta'] == 2.0

    # the schedule goes on as if it had never been saved
    fresh = MultiStepLR(torch.optim.SGD(model.parameters(), 0.1), milestones=[2, 2, 5])
    fresh.load_state_dict(loaded['param_schedulers'][0])
    rates = []
    for _ in range(6):
        optimizer.step()
        scheduler.step()
        fresh.step()
        rates.append((scheduler.get_last_value()[0], fresh.get_last_value()[0]))
    assert rates[-1][0] == pytest.approx(0.1 * 0.1**3)
    assert [a for a, _ in rates] == [b for _, b in rates]


@pytest.mark.parametrize(
    'change, found',
    [
        (
            lambda state: state.pop('backbone.units.0.gcn.weight'),
            '1 weights of the model are missing.*units.0.gcn.weight',
        ),
        (
            lambda state: state.update({'projector.layers.2.weight': torch.zeros(7, 8)}),
            r'another shape.*\(7, 8\).*\(4, 8\)',
        ),
        (
            lambda state: state.update({'backbone.units.3.gcn.weight': torch.zeros(1)}),
            'no place.*units.3.gcn.weight',
        ),
    ],
)
def test_weights_of_another_architecture_are_refused(build, change, found):
    model = build()
    state = OrderedDict(('module.' + name, value) for name, value in model.state_dict().items())
    SafeCheckpointHook().after_load_checkpoint(safe_runner(model), dict(state_dict=state))
    state = OrderedDict(model.state_dict())
    change(state)
    with pytest.raises(ConfigError, match=f'file.pth.*{found}'):
        SafeCheckpointHook().after_load_checkpoint(safe_runner(model), dict(state_dict=state))


def test_evaluation_needs_no_key_encoder_but_training_does(build):
    model, stage_one = build(), build('moco_joint_ntu60_xsub').state_dict()
    runner = safe_runner(model)
    SafeCheckpointHook().after_load_checkpoint(runner, dict(state_dict=stage_one))
    online = {name: value for name, value in stage_one.items() if '_k.' not in name}
    with pytest.raises(ConfigError, match='backbone_k'):
        SafeCheckpointHook().after_load_checkpoint(runner, dict(state_dict=online))
    runner._train_loop = None
    SafeCheckpointHook().after_load_checkpoint(runner, dict(state_dict=online))


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize('terminal', [False, True])
def test_progress_shows_loss_rate_and_time_left(monkeypatch, terminal):
    screen, clock = Screen(terminal), [100.0]
    monkeypatch.setattr(sys, 'stdout', screen)
    monkeypatch.setattr('time.monotonic', lambda: clock[0])
    wrapper = SimpleNamespace(param_groups=[dict(lr=0.05)])
    runner = SimpleNamespace(iter=0, epoch=0, max_iters=10, max_epochs=5, optim_wrapper=wrapper)
    hook = ProgressHook(interval=25.0)
    hook.before_train(runner)
    shown = []
    for step in range(10):
        clock[0] += 10.0
        runner.iter, runner.epoch = step, step // 2
        hook.after_train_iter(runner, step, outputs=dict(loss=torch.tensor(2.0)))
        shown.append(len(screen.getvalue()))
    text = screen.getvalue()
    # ten seconds a step: after three of ten steps 70 seconds are left
    third = 'epoch 2/5 loss 2.000 lr 0.05 left 1:10'
    assert (
        third in text and 'epoch 5/5 loss 2.000 lr 0.05 left 0:00' in text and text.endswith('\n')
    )
    if terminal:
        assert text.count('\r') == 10 and text.count('\n') == 1
    else:
        assert '\r' not in text and text.count('\n') == 4 and shown[0] == 0


@pytest.mark.parametrize(
    'seconds, text', [(0, '0:00'), (59.6, '1:00'), (3599, '59:59'), (3661, '1:01:01')]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_metrics_file_keeps_validation_and_test_apart(tmp_path):
    evaluator = SimpleNamespace(
        metrics=[SimpleNamespace(protocol={'evaluator': 'KNN', 'k': [20]}), object()]
    )
    loop = SimpleNamespace(
        evaluator=evaluator,
        dataloader=SimpleNamespace(
            dataset=SimpleNamespace(metainfo=dict(split='xsub', checksum='abc', classes=['wave']))
        ),
    )
    cfg = dict(load_from=None, model=dict(type='MoCo'), optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
               train_dataloader=dict(batch_size=4))
    runner = SimpleNamespace(
        work_dir=tmp_path, seed=3, epoch=6, max_epochs=8, val_loop=loop, test_loop=loop, _train_loop=None,
        cfg=Config(cfg), train_dataloader=SimpleNamespace(dataset=range(9))
    )
    hook = MetricsFileHook()
    hook.after_val_epoch(runner, {'knn/k20': 50.0})
    hook.after_load_checkpoint(runner, dict(meta=dict(epoch=9)))
    hook.after_test_epoch(runner, {'knn/k20': 60.0})
    content = json.loads((tmp_path / 'metrics.json').read_text())
    assert content['val']['metrics'] == {'knn/k20': 50.0} and content['val']['epoch'] == 6
    assert content['test']['metrics'] == {'knn/k20': 60.0} and content['test']['epoch'] == 9
    assert content['test']['seed'] == 3 and content['test']['data'] == dict(
        split='xsub', checksum='abc'
    )
    assert content['test']['protocol'] == [{'evaluator': 'KNN', 'k': [20]}]
    trained = content['val']['training']
    assert trained['epochs'] == 8 and trained['sequences'] == 9 and trained['optimizer'] == dict(type='SGD', lr=.1)
    assert 'training' not in content['test']
    assert [p.name for p in tmp_path.iterdir()] == ['metrics.json']


def test_a_run_that_starts_anew_forgets_the_numbers_of_an_older_one(tmp_path):
    file, hook = tmp_path / 'metrics.json', MetricsFileHook()

    def start(iteration: int, epoch: int) -> None:
        hook.before_train(SimpleNamespace(work_dir=tmp_path, iter=iteration, epoch=epoch, max_epochs=4, cfg=Config()))

    start(0, 0)
    file.write_text('{"test": {}, "val": {}}')
    start(12, 4)
    assert json.loads(file.read_text()) == dict(test={}, val={})
    # going on, it will have newer validations than that test
    start(3, 1)
    assert json.loads(file.read_text()) == dict(val={})
    start(0, 0)
    assert not file.exists()


@pytest.mark.parametrize('text', ['{"val": ', '[1]', '[' * 10 ** 5, b'\xff\xfe'], ids=['cut', 'list', 'deep', 'binary'])
def test_damaged_numbers_of_an_older_run_are_put_aside(tmp_path, text):
    file = tmp_path / 'metrics.json'
    content = text if isinstance(text, bytes) else text.encode()
    file.write_bytes(content)
    MetricsFileHook().before_train(SimpleNamespace(work_dir=tmp_path, iter=3, epoch=1, max_epochs=4, cfg=Config()))
    assert json.loads(file.read_text()) == {} and (tmp_path / 'metrics.json.damaged').read_bytes() == content


def test_numbers_of_a_stage_that_is_over_leave_the_log():
    hub = SimpleNamespace(log_scalars={'train/loss': 1, 'train/loss_nce': 2, 'val/knn': 3})
    runner, hook = SimpleNamespace(message_hub=hub), TrainingProgressHook()
    hook.after_train_iter(runner, 0, outputs=dict(loss=1.0, loss_nce=1.0))
    assert 'train/loss_nce' in hub.log_scalars
    hook.after_train_iter(runner, 1, outputs=dict(loss=1.0, loss_mining=1.0))
    assert hub.log_scalars == {'train/loss': 1, 'val/knn': 3}
