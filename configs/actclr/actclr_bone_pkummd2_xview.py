_base_ = './actclr_joint_pkummd2_xview.py'
model = dict(stream='bone', data_preprocessor=dict(streams=['bone']))
