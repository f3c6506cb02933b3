"""Runs of AimCLR and SkeleMixCLR at tiny size: their losses, their switch, and resuming on either side of it."""
import pytest

from tests.test_engine.resumed_runs import OPTIONS, check_equal, run_and_resume

STEPS = """
from mmengine.hooks import Hook
from mmactclr.registry import HOOKS


@HOOKS.register_module()
class Steps(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        branch = next(iter(runner.model.branches().values()))
        print('STEP', runner.epoch + 1, getattr(branch, 'mining', False),
              float(outputs.get('positives', outputs.get('joint.positives', 1))), ','.join(outputs))
"""
# mining starts in the second of three epochs
SWITCH = {'aimclr_joint_ntu60_xsub': {'model.mining_epoch': 1},
          'aimclr_3s_ntu60_xsub': {'model.branch.mining_epoch': 1}, 'skelemixclr-plus_joint_ntu60_xsub': {}}


@pytest.mark.parametrize('config', SWITCH)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(config, tiny_archive, tiny_config, tmp_path):
    cfg = tiny_config(tiny_archive, config, **SWITCH[config], **OPTIONS)
    runs: dict[str, list[tuple[int, bool, float, str]]] = {}
    for word, *rest in run_and_resume(cfg, STEPS, tmp_path):
        if word == 'RUN':
            steps = runs.setdefault(rest[0], [])
        elif word == 'STEP':
            epoch, mining, positives, names = rest
            steps.append((int(epoch), mining == 'True', float(positives), names))
    assert [step[0] for step in runs['straight']] == [1] * 3 + [2] * 3 + [3] * 3
    for epoch, mining, positives, _ in runs['straight']:
        assert mining == ('aimclr' in config and epoch > 1) == (positives > 1), (epoch, positives)
    check_equal(tmp_path, runs)
