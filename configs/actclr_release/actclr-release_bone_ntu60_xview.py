_base_ = './actclr-release_joint_ntu60_xview.py'
model = dict(stream='bone', data_preprocessor=dict(streams=['bone']))
