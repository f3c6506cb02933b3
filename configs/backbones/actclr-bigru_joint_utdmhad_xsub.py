_base_ = '../actclr/actclr_joint_utdmhad_xsub.py'
model = dict(backbone=dict(type='BiGRU'))
