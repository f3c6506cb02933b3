# The published encoder: stage one of ActCLR on the pool of five public sets, each contrasted with itself, by a wider
# network for longer than the short recipe.
_base_ = ['../actclr/actclr_joint_pool_xsub.py']
train_dataloader = dict(batch_size=64, sampler=dict(balance=0.5))
model = dict(
    stage_epochs=(100, 0),
    backbone=dict(channels=[32, 64, 128, 256], strided_units=[1, 2, 3]),
    projector=dict(out_channels=128),
    memory=dict(size=1024, dim=128, by_archive=True))
train_cfg = dict(max_epochs=100, val_interval=20)
param_scheduler = dict(T_max=100)
