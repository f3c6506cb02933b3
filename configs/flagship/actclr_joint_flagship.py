# The published encoder: ActCLR on the pool of five public sets, a wider encoder and a longer run than the short recipe.
_base_ = ['../actclr/actclr_joint_pool_xsub.py']
train_dataloader = dict(batch_size=64)
model = dict(
    stage_epochs=(80, 30),
    backbone=dict(channels=[32, 64, 128, 256], strided_units=[1, 2, 3]),
    projector=dict(out_channels=128),
    memory=dict(size=2048, dim=128))
train_cfg = dict(max_epochs=110, val_interval=20)
param_scheduler = dict(T_max=110)
