_base_ = './actclr_joint_ntu60_xview.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
