_base_ = './actclr-release_joint_ntu120_xsub.py'
model = dict(stream='bone', data_preprocessor=dict(streams=['bone']))
