# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_joint_ntu60_xview.py'
model = dict(repeat=3)
