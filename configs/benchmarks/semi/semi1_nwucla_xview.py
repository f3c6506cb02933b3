_base_ = '../../_base_/protocols/semi.py'
data_root = 'data/nw_ucla'
split = 'xview'
label_subset = dict(fraction=0.01)
