_base_ = './actclr_joint_pkummd2_xsub.py'
model = dict(stream='bone', data_preprocessor=dict(streams=['bone']))
