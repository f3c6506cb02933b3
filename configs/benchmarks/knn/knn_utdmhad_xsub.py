_base_ = '../../_base_/protocols/knn.py'
data_root = 'data/utd_mhad'
split = 'xsub'
