# the motion stream of the published encoders
_base_ = './actclr_joint_flagship.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
