_base_ = '../../_base_/protocols/linear.py'
data_root = 'data/synthetic'
split = 'xsub'
