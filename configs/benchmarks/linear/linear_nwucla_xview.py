_base_ = '../../_base_/protocols/linear.py'
data_root = 'data/nw_ucla'
split = 'xview'
