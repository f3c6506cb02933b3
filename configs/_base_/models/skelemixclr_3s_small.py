# joint, motion and bone branches in one run, from the same augmented joints
_base_ = './skelemixclr_small.py'
streams = ['joint', 'motion', 'bone']
model = dict(
    _delete_=True,
    type='MultiStream',
    streams=streams,
    branch={{_base_.model}},
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=streams,
        views={{_base_.model.data_preprocessor.views}}))
