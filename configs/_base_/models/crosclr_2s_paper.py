# joint and motion teach each other
_base_ = './crosclr_3s_paper.py'
streams = ['joint', 'motion']
model = dict(streams=streams, data_preprocessor=dict(streams=streams))
