"""Several processes over gloo: what training shares between them, and that evaluation does not see them."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmactclr.apis import build_runner, run_test
from mmactclr.engine import DistributedMethod
from mmactclr.engine.checkpoints import ModelCard
from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

from ..conftest import TINY_LAYOUT

ACTCLR, THREE = 'actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'

# runs in every process: compares each step with one that is computed without torch's wrapper
REPORT = """
import hashlib
import json
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.dist import all_gather, get_rank
from mmengine.hooks import Hook

from mmactclr.engine.hooks.method import get_method
from mmactclr.registry import HOOKS


def flat(values):
    return torch.cat([value.detach().reshape(-1) for value in values])


def online(method):
    return [parameter for parameter in method.parameters() if parameter.requires_grad]


@HOOKS.register_module()
class RankReport(Hook):
    priority = 'LOWEST'

    def before_train(self, runner):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        alone = deepcopy(get_method(runner, 'RankReport'))
        views = alone.training_views(data_batch)
        losses = dict(alone.loss_terms(views['inputs'], views['masks'], views['mixes']))
        sum(losses.values()).backward()
        own = flat(parameter.grad for parameter in online(alone))
        self.gradients = torch.stack(all_gather(own))
        self.loss = float(sum(losses.values()).detach())
        self.before = flat(online(get_method(runner, 'RankReport')))
        self.lr = runner.optim_wrapper.param_groups[0]['lr']

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        method = get_method(runner, 'RankReport')
        taken = (self.before - flat(online(method))) / self.lr
        mean = self.gradients.mean(0)
        digest = hashlib.sha256()
        for value in method.state_dict().values():
            digest.update(value.numpy().tobytes())
        self.steps.append(dict(
            losses={name: float(value) for name, value in outputs.items() if 'loss' in name},
            alone=self.loss, lr=self.lr, index=data_batch['index'].tolist(), state=digest.hexdigest(),
            pointer=int(method.memory.pointer), memory=method.memory.keys.tolist(),
            error=float((taken - mean).norm() / mean.norm()),
            spread=float((self.gradients[0] - mean).norm() / mean.norm())))

    def after_train(self, runner):
        Path(runner.work_dir, f'rank{get_rank()}.json').write_text(json.dumps(self.steps))
"""


def run(script: str, *arguments: object, cwd: Path, root: Path, **environment: str) -> subprocess.CompletedProcess:
    """One of the shell scripts in tools/, without GPUs."""
    return subprocess.run(
        ['bash', root / 'tools' / script, *map(str, arguments)],
        cwd=cwd,
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', **environment),
    )


# the paper's one term and the release's three, with an anchor that follows the keys of all processes
RELEASE = 'actclr-release_joint_ntu60_xsub'
TERMS = {ACTCLR: ['loss_mining'], RELEASE: ['loss_mining_normal', 'loss_mining_styled', 'loss_mining_mix']}


@pytest.fixture(scope='module', params=TERMS)
def config_name(request) -> str:
    """The config that is trained."""
    return request.param


@pytest.fixture(scope='module')
def trained(tiny_archive, tiny_config, tmp_path_factory, repo_root, config_name):
    """ActCLR in two processes, one epoch in each stage, with plain gradient descent; its config and folder."""
    folder = tmp_path_factory.mktemp('distributed')
    plain = {'momentum': 0.0, 'weight_decay': 0.0, 'lr': 0.25}
    options = {f'optim_wrapper.optimizer.{name}': value for name, value in plain.items()}
    if config_name == RELEASE:
        # weights of the release's size tell sequences apart too little for shares of a batch to differ
        options |= {'model.anchor': 'ema', 'model.backbone.init_std': None, 'model.projector.init_std': None}
    cfg = tiny_config(tiny_archive, config_name, **options, **{
        'train_dataloader.batch_size': 4, 'auto_scale_lr.base_batch_size': 4})
    cfg.test_cfg.baselines.pop('unprepared_coordinates')
    cfg.custom_hooks.append(dict(type='RankReport'))
    cfg.custom_imports = dict(imports=['rank_report'], allow_failed_imports=False)
    (folder / 'rank_report.py').write_text(REPORT)
    cfg.dump(folder / 'config.py')
    done = run('dist_train.sh', 'config.py', 2, '--work-dir', 'run', '--auto-scale-lr', cwd=folder, root=repo_root,
               PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    return folder / 'config.py', folder / 'run'


@pytest.fixture(scope='module')
def ranks(trained) -> list[list[dict]]:
    """What each of the two processes noted at every step."""
    return [json.loads((trained[1] / f'rank{rank}.json').read_text()) for rank in range(2)]


def test_both_stages_run_to_the_end_on_disjoint_sequences(ranks, config_name):
    # 18 sequences, 9 a process, 4 a batch, the rest dropped
    assert [len(steps) for steps in ranks] == [4, 4]
    for first, second in zip(*ranks, strict=True):
        assert not set(first['index']) & set(second['index'])
    for steps in ranks:
        for i, step in enumerate(steps):
            terms = ['loss_nce'] if i < 2 else TERMS[config_name]
            assert set(step['losses']) == {'loss', *terms}
            assert all(torch.isfinite(torch.tensor(value)) for value in step['losses'].values())


def test_the_learning_rate_is_scaled_with_the_batch_of_all(ranks):
    # 0.25 for 4 sequences, two processes take 8
    assert {steps[0]['lr'] for steps in ranks} == {0.5}


def test_a_step_is_the_mean_of_the_gradients_of_all_processes(ranks):
    for steps in ranks:
        # the first one has an empty memory: nothing to tell the key from
        assert steps[0]['losses']['loss'] == 0.0
        for step in steps[1:]:
            assert step['losses']['loss'] == pytest.approx(step['alone'], rel=1e-5)
            assert step['error'] < 1e-3 < 0.05 < step['spread']


def test_all_processes_hold_the_same_model_after_every_step(ranks):
    """Weights, key encoders, running statistics, anchors, memories and pointers, bit for bit."""
    for number, (first, second) in enumerate(zip(*ranks, strict=True), start=1):
        assert first['pointer'] == second['pointer'] == number * 8 % 16
        assert first['memory'] == second['memory']
        assert first['state'] == second['state']
    lengths = torch.tensor(first['memory']).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(16))


def test_evaluation_in_two_processes_gives_the_numbers_of_one(trained, tmp_path, repo_root, monkeypatch):
    """27 sequences: one of the two processes gets a padded one."""
    config, work_dir = trained
    checkpoint = work_dir / 'epoch_2.pth'
    monkeypatch.syspath_prepend(config.parent)
    alone = run_test(config, checkpoint, tmp_path / 'one')
    done = run('dist_test.sh', config, checkpoint, 2, '--work-dir', 'two', cwd=tmp_path, root=repo_root,
               PYTHONPATH=str(config.parent))
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / name / 'metrics.json').read_text())['test'] for name in ('one', 'two'))
    assert two == one and two['metrics'] == alone
    val = json.loads((work_dir / 'metrics.json').read_text())['val']['metrics']
    assert val == {name: alone[name] for name in val}


def test_a_classifier_on_cached_features_in_two_processes_is_that_of_one(tiny_archive, tmp_path, repo_root):
    model = dict(type='Recognizer', layout=TINY_LAYOUT, head=None, backbone=dict(
        type='STGCN', layout=TINY_LAYOUT, channels=[4, 8], strided_units=[2]))
    torch.manual_seed(0)
    card = ModelCard(model=model, layout=get_layout(TINY_LAYOUT).to_dict(), num_frames=16)
    torch.save({'state_dict': MODELS.build(model).state_dict(), 'meta': {'mmactclr': card.to_dict()}},
               tmp_path / 'encoder.pth')
    config = repo_root / 'configs' / 'benchmarks' / 'linear' / 'linear_utdmhad_xsub.py'
    found = []
    for count in (1, 2):
        # 18 sequences, 6 a step whatever the number of processes
        done = run('dist_train.sh', config, count, '--work-dir', count, '--cfg-options', f'data_root={tiny_archive}',
                   f'init_from={tmp_path / "encoder.pth"}', f'train_dataloader.batch_size={6 // count}',
                   'train_cfg.max_epochs=3', 'train_cfg.val_interval=3', cwd=tmp_path, root=repo_root)
        assert done.returncode == 0, done.stderr
        state = torch.load(tmp_path / str(count) / 'epoch_3.pth', weights_only=True)['state_dict']
        found.append((state['head.fc.weight'], json.loads((tmp_path / str(count) / 'metrics.json').read_text())['val']))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-5)
    assert found[0][1]['metrics'] == found[1][1]['metrics']
    one, two = (result['outcomes']['classifier/score'] for _, result in found)
    assert one['class_accuracy'] == two['class_accuracy']
    assert one['calibration_error'] == pytest.approx(two['calibration_error'], abs=1e-5)


@pytest.mark.parametrize(
    'script, arguments, found',
    [
        ('dist_train.sh', [], 'found 0'),
        ('dist_train.sh', ['config.py', 'two'], "GPUS is 'two'"),
        ('dist_test.sh', ['config.py', '2'], 'found 2'),
        ('dist_test.sh', ['config.py', 'epoch_1.pth', '0'], "GPUS is '0'"),
    ],
)
def test_scripts_say_how_they_are_called(script, arguments, found, tmp_path, repo_root):
    done = run(script, *arguments, cwd=tmp_path, root=repo_root)
    assert done.returncode == 2 and found in done.stderr and f'usage: bash tools/{script} CONFIG' in done.stderr
    help_text = run(script, '--help', cwd=tmp_path, root=repo_root)
    assert help_text.returncode == 0 and help_text.stdout in done.stderr


@pytest.fixture
def one_process(tmp_path):
    """A group of this process alone."""
    store = torch.distributed.FileStore(str(tmp_path / 'store'), 1)
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('counts', [1, 2])
def test_one_process_trains_as_without_the_wrapper(one_process, tiny_archive, tiny_config, counts):
    """Three streams, two steps, accumulated or not: same losses, weights and running statistics."""
    plain = MODELS.build(tiny_config(tiny_archive, THREE).model)
    plain.init_weights()
    wrapped = DistributedMethod(deepcopy(plain), device_ids=[0])
    batch = dict(inputs=torch.randn(4, 2, 16, 20, 3), mask=torch.ones(4, 2, dtype=torch.bool), index=torch.arange(4))
    seen = []
    for model in (plain, wrapped):
        method = getattr(model, 'module', model)
        for branch in method.branches().values():
            branch.memory.enqueue(torch.eye(4))
        optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1)
        wrapper = OptimWrapper(optimizer, accumulative_counts=counts)
        for iteration in range(2):
            start = method.branches()['bone'].projector.layers[0].weight.clone()
            method.set_progress(0, 0, iteration, 0)
            seen.append(model.train_step(batch, wrapper))
            moved = not torch.equal(start, method.branches()['bone'].projector.layers[0].weight)
            assert moved == (counts == 1 or iteration == 1)
            for branch in method.branches().values():
                branch.pending_keys, branch.momentum_due = None, False
        assert wrapper.inner_count == 2
    for expected, found in zip(seen[:2], seen[2:], strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(wrapped.module.state_dict(), plain.state_dict())


def test_the_launcher_chooses_the_wrapper_and_the_config_may_add_to_it(
    one_process, tiny_archive, tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setenv('LOCAL_RANK', '0')
    cfg = tiny_config(tiny_archive, ACTCLR, **{'model_wrapper_cfg.find_unused_parameters': True})
    wrapped = build_runner(cfg, tmp_path / 'a', launcher='pytorch').model
    assert isinstance(wrapped, DistributedMethod) and wrapped.find_unused_parameters
    assert not wrapped.broadcast_buffers
    cfg = tiny_config(tiny_archive, ACTCLR, model_wrapper_cfg=dict(type='DistributedDataParallel', device_ids=None))
    assert type(build_runner(cfg, tmp_path / 'b', launcher='pytorch').model) is nn.parallel.DistributedDataParallel


def test_a_process_that_torchrun_did_not_start_is_told_so(tiny_archive, tiny_config, tmp_path, monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match='torchrun.*dist_train.sh'):
        build_runner(tiny_config(tiny_archive, ACTCLR), tmp_path, launcher='pytorch')


def test_results_do_not_drag_their_batch_along(tiny_archive, tiny_config):
    """Processes exchange results as pickles, and a pickled view holds all that it is a view of."""
    model = MODELS.build(tiny_config(tiny_archive, ACTCLR).model).eval()
    samples = model(torch.zeros(5, 2, 16, 20, 3), mode='predict')
    for value in samples[0].features.values():
        assert value.untyped_storage().nbytes() == value.nbytes
