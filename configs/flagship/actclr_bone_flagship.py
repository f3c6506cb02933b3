# the bone stream of the published encoders
_base_ = './actclr_joint_flagship.py'
model = dict(stream='bone', data_preprocessor=dict(streams=['bone']))
