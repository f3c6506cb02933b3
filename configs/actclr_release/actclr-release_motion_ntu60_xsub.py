_base_ = './actclr-release_joint_ntu60_xsub.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
