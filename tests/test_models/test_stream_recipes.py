"""Configs of SkeletonCLR, CrosSCLR and CMD: the constants of their authors, and rows that can be compared."""
import pytest

from mmactclr.utils import load_config

WEAK = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]


@pytest.mark.parametrize('config, streams', [
    ('skeletonclr_joint_ntu60_xsub', ['joint']), ('skeletonclr_3s_ntu120_xset', ['joint', 'motion', 'bone']),
    ('crosclr_2s_ntu60_xview', ['joint', 'motion']), ('crosclr_3s_pkummd1_xsub', ['joint', 'motion', 'bone']),
    ('cmd_3s_ntu60_xsub', ['joint', 'motion', 'bone']), ('cmd_3s_pkummd2_xview', ['joint', 'motion', 'bone'])])
def test_the_configs_have_the_constants_of_the_description(config, streams):
    cfg = load_config(config)
    model = cfg.model
    branch = model.get('branch', model)
    cmd = model.type == 'CMD'
    assert model.data_preprocessor.streams == streams
    assert model.data_preprocessor.views == dict(query=dict(joints=WEAK), key=dict(joints=WEAK))
    assert branch.type == 'MoCo' and len(branch.backbone.channels) == 10
    assert (branch.loss.temperature, branch.memory.size) == (0.07, 16384 if cmd else 32768)
    recipe = (cfg.train_cfg.max_epochs, cfg.param_scheduler.milestones, cfg.optim_wrapper.optimizer.lr,
              cfg.train_dataloader.batch_size, cfg.auto_scale_lr.base_batch_size)
    long = 'pkummd2' in config
    assert recipe == ((1000 if long else 450, [800 if long else 350], 0.01, 64, 64) if cmd else
                      (300, [250], 0.1, 128, 128))
    (momentum,) = [hook.momentum for hook in cfg.custom_hooks if hook.type == 'MomentumUpdateHook']
    assert momentum == 0.999 and cfg.optim_wrapper.optimizer.weight_decay == 1e-4
    if cmd:
        assert model.distillation == dict(
            type='NeighbourDistillationLoss', tau_student=0.1, tau_teacher=0.05, top_k=16384 // 2)
    elif 'crosclr' in config:
        assert (model.type, model.cross_epoch, model.topk, model.context) == ('CrosSCLR', 150, 1, True)


@pytest.mark.parametrize('config', ['skeletonclr_joint', 'skeletonclr_3s', 'crosclr_2s', 'crosclr_3s', 'cmd_3s'])
def test_the_small_recipe_differs_from_momentum_contrast_in_the_method_alone(config):
    ours, moco = (load_config(f'{name}_utdmhad_xsub') for name in (config, 'moco_joint'))
    branch = ours.model.get('branch', ours.model)
    for field in ('type', 'backbone', 'projector', 'memory', 'loss', 'skip_absent'):
        assert branch[field] == moco.model[field], field
    assert ours.model.data_preprocessor.views == moco.model.data_preprocessor.views
    for field in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader', 'custom_hooks'):
        assert ours[field] == moco[field], field
    if 'cmd' in config:
        assert ours.model.distillation.top_k == moco.model.memory.size // 2
    # half of the epochs, as in the paper
    assert ours.model.get('cross_epoch', 150) == ours.train_cfg.max_epochs // 2
