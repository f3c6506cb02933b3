# ActCLR with the backbone and the transform of this package, on what its converter wrote
_base_ = [
    'mmactclr::_base_/datasets/synthetic_xsub.py',
    'mmactclr::_base_/models/actclr_small.py',
    'mmactclr::_base_/schedules/small_300e.py',
    'mmactclr::_base_/default_runtime.py']
data_root = 'data/takes'
max_persons = 1
weak = [dict(type='RandomWindow', low=0.4, high=1.0), dict(type='Sway', amplitude=0.1)]
model = dict(
    data_preprocessor=dict(views=dict(query=dict(joints=weak), key=dict(joints=weak), act=dict(joints=weak))),
    backbone=dict(_delete_=True, type='JointAttention', channels=64),
    projector=dict(in_channels=64))
