_base_ = './actclr_joint_pkummd1_xview.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
