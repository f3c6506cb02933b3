# AimCLR with the constants of its authors' code: 10 units at a quarter of the width, 32768 keys, mining from epoch 151
init_from = {}
weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
extreme = [
    *weak,
    dict(type='RandomFlip', p=0.5),
    dict(type='RandomRotation'),
    dict(type='GaussianNoise', std=0.01, p=0.5),
    dict(type='GaussianBlur', p=0.5),
    dict(type='AxisMask', p=0.5),
    # in the paper's list, not in the released default: model.data_preprocessor.views.extreme.joints.7.p=0.5
    dict(type='TemporalFlip', p=0.0)]
model = dict(
    type='AimCLR',
    layout='ntu25',
    stream='joint',
    mining_epoch=150,
    drop=dict(type='EnergyDrop', threshold=0.7),
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(query=dict(joints=weak), key=dict(joints=weak), extreme=dict(joints=extreme))),
    backbone=dict(
        type='STGCN', layout='ntu25', channels=[16, 16, 16, 16, 32, 32, 32, 64, 64, 256], strided_units=[5, 8],
        init_std=0.02),
    projector=dict(type='ProjectionMLP', out_channels=128, init_std=0.02),
    memory=dict(size=32768, dim=128),
    loss=dict(type='InfoNCELoss', temperature=0.07))
custom_hooks = [
    dict(type='EncoderInitHook', init_from=init_from),
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.999)]
