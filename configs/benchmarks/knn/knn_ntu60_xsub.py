_base_ = '../../_base_/protocols/knn.py'
data_root = 'data/ntu60'
split = 'xsub'
