_base_ = '../../_base_/protocols/knn.py'
data_root = 'data/ntu120'
split = 'xsub'
