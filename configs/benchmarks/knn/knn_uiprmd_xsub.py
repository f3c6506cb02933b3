_base_ = '../../_base_/protocols/knn.py'
data_root = 'data/ui_prmd'
split = 'xsub'
