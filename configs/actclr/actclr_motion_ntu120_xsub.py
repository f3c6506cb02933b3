_base_ = './actclr_joint_ntu120_xsub.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
