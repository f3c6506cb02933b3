_base_ = '../../_base_/protocols/semi.py'
data_root = 'data/ntu60'
split = 'xsub'
label_subset = dict(fraction=0.01)
