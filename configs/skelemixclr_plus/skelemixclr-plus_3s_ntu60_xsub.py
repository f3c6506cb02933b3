# three mixed queries a step
_base_ = '../skelemixclr/skelemixclr_3s_ntu60_xsub.py'
model = dict(branch=dict(repeat=3))
