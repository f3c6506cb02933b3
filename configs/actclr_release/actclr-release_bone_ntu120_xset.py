_base_ = './actclr-release_joint_ntu120_xset.py'
model = dict(stream='bone', data_preprocessor=dict(streams=['bone']))
