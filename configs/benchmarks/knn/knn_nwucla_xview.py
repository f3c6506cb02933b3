_base_ = '../../_base_/protocols/knn.py'
data_root = 'data/nw_ucla'
split = 'xview'
