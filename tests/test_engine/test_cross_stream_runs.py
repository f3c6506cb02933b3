"""Runs of CrosSCLR and CMD at tiny size: their losses, the switch, key encoders, and resuming on either side of it."""
import pytest

from tests.test_engine.resumed_runs import OPTIONS, check_equal, run_and_resume

STEPS = """
from mmengine.hooks import Hook
from mmactclr.registry import HOOKS


def keys_of(runner):
    return {stream: [parameter.detach().double() for part in (branch.backbone_k, branch.projector_k)
                     for parameter in part.parameters()] for stream, branch in runner.model.branches().items()}


@HOOKS.register_module()
class Steps(Hook):
    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.before = keys_of(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        print('STEP', runner.epoch + 1, ','.join(name for name in outputs if 'loss_' in name))
        for stream, keys in keys_of(runner).items():
            branch = runner.model.branches()[stream]
            online = [parameter.detach().double() for part in (branch.backbone, branch.projector)
                      for parameter in part.parameters()]
            error = max(float((k - .9 * b - .1 * o).abs().max())
                        for k, b, o in zip(keys, self.before[stream], online, strict=True))
            moved = max(float((k - b).abs().max()) for k, b in zip(keys, self.before[stream], strict=True))
            print('KEYS', runner.epoch + 1, stream, error, moved)
"""
NCE = {'2s': 'joint.loss_nce,motion.loss_nce', '3s': 'joint.loss_nce,motion.loss_nce,bone.loss_nce'}
CMD = 'joint.loss_cmd,motion.loss_cmd,bone.loss_cmd'
# the cross loss starts in the second of three epochs
RUNS = {'crosclr_2s_ntu60_xsub': ({'model.cross_epoch': 1}, [NCE['2s'], 'loss_cross', 'loss_cross']),
        'crosclr_3s_ntu60_xsub': ({'model.cross_epoch': 1}, [NCE['3s'], 'loss_cross', 'loss_cross']),
        'cmd_3s_ntu60_xsub': ({'model.distillation.top_k': 8}, [CMD] * 3),
        'cmd-views_3s_ntu60_xsub': ({'model.distillation.top_k': 8}, [CMD] * 3)}


@pytest.mark.parametrize('config', RUNS)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(config, tiny_archive, tiny_config, tmp_path):
    options, losses = RUNS[config]
    cfg = tiny_config(tiny_archive, config, **{
        **options, **OPTIONS, 'custom_hooks.2.momentum': 0.9,
        # with weights of 0.02 all sequences are alike at first, and nothing moves
        'model.branch.backbone.init_std': None, 'model.branch.projector.init_std': None})
    runs: dict[str, list[tuple[int, str]]] = {}
    followed: dict[tuple[int, str], float] = {}
    for word, *rest in run_and_resume(cfg, STEPS, tmp_path):
        if word == 'RUN':
            steps = runs.setdefault(rest[0], [])
        elif word == 'STEP':
            steps.append((int(rest[0]), rest[1]))
        elif word == 'KEYS':
            epoch, stream, error, moved = rest
            assert float(error) < 1e-6, rest
            followed[int(epoch), stream] = max(float(moved), followed.get((int(epoch), stream), 0.))
    streams = list(cfg.model.streams)
    assert followed.keys() == {(epoch, stream) for epoch in (1, 2, 3) for stream in streams}
    assert min(followed.values()) > 1e-4
    # 18 sequences, 6 a batch
    assert runs['straight'] == [(epoch, losses[epoch - 1]) for epoch in (1, 2, 3) for _ in range(3)]
    state = check_equal(tmp_path, runs)
    pointers = {int(state[f'stream_branches.{stream}.memory.pointer']) for stream in streams}
    assert pointers == {9 * 6 % 16}
