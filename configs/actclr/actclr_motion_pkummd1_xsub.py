_base_ = './actclr_joint_pkummd1_xsub.py'
model = dict(stream='motion', data_preprocessor=dict(streams=['motion']))
