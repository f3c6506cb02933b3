"""Several processes on one batch do what one process does on it, where batch norms are synchronised."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.models.norms import synchronise_batch_norms
from mmactclr.registry import MODEL_WRAPPERS

SCRIPT = """
import json
import os
import socket
import sys
from mmengine.config import Config
from mmengine.dist import all_reduce_dict, get_rank
from mmengine.hooks import Hook
from mmactclr.apis import run_test, run_training
from mmactclr.registry import HOOKS


@HOOKS.register_module()
class Losses(Hook):
    losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        loss = dict(loss=outputs['loss'].clone())
        all_reduce_dict(loss, op='mean')
        self.losses.append(float(loss['loss']))


def evaluate(name, launcher):
    cfg = Config.fromfile('alone.py')
    cfg.experiment_name = name
    metrics = run_test(cfg, sys.argv[2], work_dir=name, launcher=launcher)
    if get_rank() == 0:
        json.dump(metrics, open(f'{name}/numbers.json', 'w'))


def train(name, launcher):
    cfg = Config.fromfile(f'{name}.py')
    cfg.custom_hooks.append(dict(type='Losses'))
    run_training(cfg, work_dir=name, launcher=launcher)
    if get_rank() == 0:
        json.dump(Losses.losses, open(f'{name}/losses.json', 'w'))


# forked, as reading the libraries takes longer than training
for name, processes in json.loads(sys.argv[1]):
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(max(processes, 1)):
        child = os.fork()
        if child == 0:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes),
                              MASTER_ADDR='localhost', MASTER_PORT=str(port))
            code = 1
            try:
                (evaluate if 'test' in name else train)(name, 'pytorch' if processes else 'none')
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit(f'{name} failed')
"""
BATCH, STEPS = 8, 20
# processes of each run, none without a launcher
RUNS = {'alone': 0, 'two': 2, 'four': 4, 'local': 2}
# tests of the checkpoint of the first of them
TESTS = {'test': 0, 'test two': 2, 'test four': 4}
METHODS = ['actclr_joint_ntu60_xsub', 'crosclr_3s_ntu60_xsub']


def drop_mixing(cfg) -> None:
    """Take out what takes from another sequence of the batch, which sequences share otherwise."""
    views = cfg.model.data_preprocessor['views']
    for view in views.values():
        view['stream'] = [step for step in view.get('stream', [])
                          if step['type'] not in ('SkeletonAdaIN', 'SkeletonMix')]


@pytest.fixture(scope='module', params=METHODS)
def runs(request, tmp_path_factory, tiny_archive, tiny_config, repo_root):
    """Folder with runs of one, two and four processes over the same batches, and of two without synchronising."""
    folder = tmp_path_factory.mktemp('batch')
    config = request.param
    branch = 'model.branch' if '_3s_' in config else 'model'
    more = {f'{branch}.backbone.dropout': 0., f'{branch}.backbone.init_std': None, 'train_cfg.max_epochs': STEPS // 2,
            'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None, 'param_scheduler.milestones': [STEPS],
            'optim_wrapper.optimizer.lr': .01}
    more |= {'model.stage_epochs': (5, 5)} if 'actclr' in config else {}
    more |= {'model.cross_epoch': 5} if 'crosclr' in config else {}
    for name, processes in RUNS.items():
        cfg = tiny_config(tiny_archive, config, **more)
        if '_3s_' in config:
            cfg.model.branch.projector.init_std = None
        drop_mixing(cfg)
        cfg.train_dataloader.batch_size = BATCH // max(processes, 1)
        cfg.model_wrapper_cfg = dict(
            type='mmactclr.DistributedMethod', batch_norm='local' if name == 'local' else 'synchronised')
        cfg.dump(folder / f'{name}.py')
    (folder / 'script.py').write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, 'script.py', json.dumps(list({**RUNS, **TESTS}.items())), last_checkpoint(folder, 'alone')],
        cwd=folder, text=True, capture_output=True,
        env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(repo_root)))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def last_checkpoint(runs: Path, name: str) -> Path:
    return runs / name / f'epoch_{STEPS // 2}.pth'


def method(runs: Path) -> str:
    return 'CrosSCLR, three streams' if "type='CrosSCLR'" in (runs / 'alone.py').read_text() else 'ActCLR'


def losses(runs: Path, name: str) -> torch.Tensor:
    return torch.tensor(json.loads((runs / name / 'losses.json').read_text()))


def memory(runs: Path, name: str) -> torch.Tensor:
    state = torch.load(last_checkpoint(runs, name), weights_only=True)['state_dict']
    return torch.cat([value for key, value in state.items() if key.endswith('memory.keys')], 1)


@pytest.mark.parametrize('name', ['two', 'four'])
def test_losses_are_those_of_one_process(runs, name):
    alone = losses(runs, 'alone')
    assert len(alone) == STEPS
    # docs/reliability.md shows these lines
    print(f'\n| {method(runs)} | {name} | loss of {STEPS} steps | {(losses(runs, name) - alone).abs().max():.1e} |')
    torch.testing.assert_close(losses(runs, name), alone, atol=1e-4, rtol=0)
    # statistics of a share of the batch are others
    assert (losses(runs, 'local') - alone).abs().max() > 1e-2


@pytest.mark.parametrize('name', ['two', 'four'])
def test_memories_hold_the_same_keys(runs, name):
    alone, shared = memory(runs, 'alone'), memory(runs, name)
    distance = torch.cdist(alone.double(), shared.double())
    print(f'\n| {method(runs)} | {name} | {len(alone)} keys of a memory | {distance.min(1).values.max():.1e} |')
    # the same set, in the order in which processes are asked for theirs
    assert distance.min(0).values.max() < 1e-4 and distance.min(1).values.max() < 1e-4
    assert sorted(distance.argmin(1).tolist()) == list(range(len(alone)))


@pytest.mark.parametrize('name', ['test two', 'test four'])
def test_an_evaluation_gives_the_numbers_of_one_process(runs, name):
    alone, shared = (json.loads((runs / each / 'numbers.json').read_text()) for each in ('test', name))
    # random weights of this size tell sequences apart by less than the rounding that comes with the size of a batch
    counted = {metric for metric in alone if not metric.startswith('untrained_encoder')}
    assert {'knn/backbone_k20', 'linear/backbone_top1'} <= counted and shared.keys() == alone.keys()
    differ = sum(shared[metric] != alone[metric] for metric in counted)
    print(f'\n| {method(runs)} | {name.split()[1]} | {len(counted)} accuracies of one checkpoint | {differ} differ |')
    assert {metric: shared[metric] for metric in counted} == {metric: alone[metric] for metric in counted}


def test_names_in_a_checkpoint_stay_and_one_process_does_as_before():
    torch.manual_seed(0)
    def build() -> torch.nn.Sequential:
        return torch.nn.Sequential(torch.nn.Conv1d(3, 5, 1), torch.nn.BatchNorm1d(5), torch.nn.BatchNorm1d(5))

    ordinary = build()
    synced = build()
    synced.load_state_dict(ordinary.state_dict())
    parameters = list(synced.parameters())
    assert synchronise_batch_norms(synced) == 2 and synchronise_batch_norms(synced) == 0
    assert all(a is b for a, b in zip(synced.parameters(), parameters, strict=True))
    assert list(synced.state_dict()) == list(ordinary.state_dict())
    x = torch.randn(4, 3, 7)
    for training in (True, False):
        assert torch.equal(synced.train(training)(x), ordinary.train(training)(x))
    for name, value in synced.state_dict().items():
        assert torch.equal(value, ordinary.state_dict()[name])


def test_an_unknown_kind_of_batch_norm_is_named():
    with pytest.raises(ConfigError, match="model_wrapper_cfg.batch_norm is 'shared'"):
        MODEL_WRAPPERS.build(dict(type='DistributedMethod', module=torch.nn.Linear(2, 2), batch_norm='shared'))
