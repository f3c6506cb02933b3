# momentum contrast alone: stage one of ActCLR for as long as the schedule lasts
init_from = {}
weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
model = dict(
    type='MoCo',
    layout='ntu25',
    stream='joint',
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(query=dict(joints=weak), key=dict(joints=weak))),
    backbone=dict(type='STGCN', layout='ntu25'),
    projector=dict(type='ProjectionMLP', out_channels=128),
    memory=dict(size=8192, dim=128),
    loss=dict(type='InfoNCELoss', temperature=0.07))
custom_hooks = [
    dict(type='EncoderInitHook', init_from=init_from),
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.999)]
