# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_3s_ntu120_xset.py'
model = dict(branch=dict(repeat=3))
