_base_ = './actclr_joint_ntu120_xset.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
