# the built-in motion set, two stages, minutes on two cores
_base_ = [
    '../_base_/datasets/synthetic_xsub.py',
    '../_base_/models/actclr_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
runner_type = 'QuietRunner'
model = dict(
    stage_epochs=(60, 40),
    backbone=dict(channels=[16, 32, 64, 96], strided_units=[1, 2, 3]),
    projector=dict(in_channels=96))
train_cfg = dict(max_epochs=100, val_interval=10)
param_scheduler = dict(T_max=100)
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=-1))
