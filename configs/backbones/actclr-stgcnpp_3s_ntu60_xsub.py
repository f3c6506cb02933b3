_base_ = '../actclr/actclr_3s_ntu60_xsub.py'
model = dict(branch=dict(backbone=dict(type='STGCNPP')))
