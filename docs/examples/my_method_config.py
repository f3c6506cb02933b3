_base_ = [
    '../../configs/_base_/datasets/synthetic_xsub.py',
    '../../configs/_base_/schedules/small_300e.py',
    '../../configs/_base_/default_runtime.py']
custom_imports = dict(imports=['my_method'], allow_failed_imports=False)
weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
model = dict(
    type='BarlowTwins',
    layout='ntu25',
    stream='joint',
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(one=dict(joints=weak), two=dict(joints=weak))),
    backbone=dict(type='STGCN', layout='ntu25', channels=[16, 32, 64], strided_units=[2, 3]),
    projector=dict(type='ProjectionMLP', out_channels=64))
