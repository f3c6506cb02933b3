_base_ = '../../_base_/protocols/knn.py'
data_root = 'data/pkummd1'
split = 'xsub'
