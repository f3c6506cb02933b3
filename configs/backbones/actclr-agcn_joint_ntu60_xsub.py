_base_ = '../actclr/actclr_joint_ntu60_xsub.py'
model = dict(backbone=dict(type='AGCN'))
