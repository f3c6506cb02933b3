_base_ = '../../_base_/protocols/linear.py'
data_root = 'data/pkummd1'
split = 'xview'
