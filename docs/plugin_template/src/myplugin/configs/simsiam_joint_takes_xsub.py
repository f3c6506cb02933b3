# SimSiam on what the converter of this package wrote
_base_ = [
    'mmactclr::_base_/datasets/synthetic_xsub.py',
    'mmactclr::_base_/schedules/small_300e.py',
    'mmactclr::_base_/default_runtime.py']
data_root = 'data/takes'
max_persons = 1
weak = [dict(type='RandomWindow', low=0.4, high=1.0), dict(type='Sway', amplitude=0.1)]
model = dict(
    type='SimSiam',
    layout='ntu25',
    stream='joint',
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(one=dict(joints=weak), two=dict(joints=weak))),
    backbone=dict(type='JointAttention', channels=64),
    projector=dict(type='ProjectionMLP', in_channels=64, hidden_channels=64, out_channels=64),
    predictor=dict(type='ProjectionMLP', in_channels=64, hidden_channels=16, out_channels=64))
