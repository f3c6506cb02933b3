# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_3s_pkummd1_xsub.py'
model = dict(branch=dict(repeat=3))
