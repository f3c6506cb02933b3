"""What makes a run fast leaves its numbers alone."""
from pathlib import Path

import pytest
import torch
from torch import nn

from mmactclr.apis import run_test, run_training
from mmactclr.engine import ResidentDataHook
from mmactclr.evaluation import KNNEvaluator
from mmactclr.models import BaseAlgorithm

ACTCLR, THREE = 'actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'


def weights(runner) -> dict[str, torch.Tensor]:
    return torch.load(Path(runner.work_dir) / 'epoch_2.pth', weights_only=True)['state_dict']


@pytest.fixture(scope='module')
def run(tiny_archive, tiny_config, tmp_path_factory):
    """Trains at tiny size with more hooks."""
    def run(*hooks: dict, config: str = ACTCLR, **arguments):
        cfg = tiny_config(tiny_archive, config, split='xsub')
        cfg.custom_hooks.extend(hooks)
        return run_training(cfg, tmp_path_factory.mktemp('run'), **arguments)
    return run


@pytest.fixture(scope='module')
def ordinary(run):
    """A run without any of it."""
    return run()


def logged(runner) -> str:
    return next(Path(runner.work_dir).glob('*/*.log')).read_text()


def test_data_that_stay_on_the_device_give_the_same_run(run, ordinary):
    read = []

    class Reading(ResidentDataHook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            read.append(set(data_batch))

    resident = run(Reading(on_cpu=True))
    assert read and all('inputs' not in names and 'mask' not in names for names in read)
    assert 'is kept on cpu' in logged(resident) and 'is kept on' not in logged(ordinary)
    expected = weights(ordinary)
    for name, value in weights(resident).items():
        assert torch.equal(value, expected[name]), name
    assert resident.model.data_preprocessor.resident is None and resident.train_dataloader.dataset.with_inputs
    # 18 of 27 sequences, found by where they lie in the archive
    assert resident.train_dataloader.dataset.resident_size == 18 * 2 * 16 * 20 * 3 * 4


def test_compiled_encoders_give_the_same_run(run, ordinary):
    # the backend that traces and compiles nothing: whether it compiles is the compiler's matter
    compiled = run(dict(type='CompileEncoderHook', backend='eager'))
    assert '2 encoders are compiled' in logged(compiled)
    found, expected = weights(compiled), weights(ordinary)
    assert list(found) == list(expected)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-3, msg=name)


def test_compile_reaches_the_encoders_of_every_stream(run, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, 'compile', lambda module, **kwargs: compiled.append((module, kwargs)))
    runner = run(config=THREE, compile=True)
    branches = runner.model.branches().values()
    assert {id(module) for module, _ in compiled} == {
        id(encoder) for branch in branches for encoder in (branch.backbone, branch.backbone_k)}
    assert all(kwargs == dict(backend='inductor', dynamic=True) for _, kwargs in compiled)


def test_a_test_in_bf16_runs_encoders_in_bf16_and_evaluators_in_full_precision(ordinary, tiny_archive, tiny_config,
                                                                              tmp_path, monkeypatch):
    seen = []
    encode, compute = BaseAlgorithm.encode_distinct, KNNEvaluator.class_scores
    monkeypatch.setattr(BaseAlgorithm, 'encode_distinct', lambda self, backbone, *args: seen.append(
        ('encoder', self.autocast_dtype)) or encode(self, backbone, *args))
    monkeypatch.setattr(KNNEvaluator, 'class_scores', lambda self, split: seen.append(
        ('evaluator', split.bank.dtype, torch.is_autocast_enabled('cpu'))) or compute(self, split))
    metrics = {}
    for amp in (False, True):
        seen.clear()
        cfg = tiny_config(tiny_archive, ACTCLR, split='xsub')
        metrics[amp] = run_test(cfg, Path(ordinary.work_dir) / 'epoch_2.pth', tmp_path / str(amp), amp=amp)
        assert ('encoder', torch.bfloat16 if amp else None) in seen
        assert {entry for entry in seen if entry[0] == 'evaluator'} == {('evaluator', torch.float32, False)}
    assert metrics[True].keys() == metrics[False].keys()
