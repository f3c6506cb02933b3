# The recipe for small sets: a narrower last unit, early strides, warmer temperature, faster key encoder, no dropout,
# a memory of less than half the training set, and weak views that also change pace and build.
init_from = {}
weak = [
    dict(type='RandomWindow', low=0.4, high=1.0),
    dict(type='RandomShear', amplitude=0.3),
    dict(type='BoneJitter', scale=0.25),
    dict(type='PostureJitter')]
model = dict(
    type='MoCo',
    layout='ntu25',
    stream='joint',
    skip_absent=True,
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(query=dict(joints=weak), key=dict(joints=weak))),
    backbone=dict(
        type='STGCN', layout='ntu25', channels=[16, 32, 64, 96], strided_units=[1, 2, 3], dropout=0.0),
    projector=dict(type='ProjectionMLP', out_channels=64),
    memory=dict(size=192, dim=64),
    loss=dict(type='InfoNCELoss', temperature=0.1))
custom_hooks = [
    dict(type='EncoderInitHook', init_from=init_from),
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.99)]
