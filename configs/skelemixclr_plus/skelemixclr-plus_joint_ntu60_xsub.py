# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_joint_ntu60_xsub.py'
model = dict(repeat=3)
