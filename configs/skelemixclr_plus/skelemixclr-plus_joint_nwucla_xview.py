# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_joint_nwucla_xview.py'
model = dict(repeat=3)
