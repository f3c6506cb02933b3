# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_joint_ntu120_xset.py'
model = dict(repeat=3)
