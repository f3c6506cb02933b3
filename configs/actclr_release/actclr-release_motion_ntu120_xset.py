_base_ = './actclr-release_joint_ntu120_xset.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
