_base_ = '../../_base_/protocols/linear.py'
data_root = 'data/ntu120'
split = 'xsub'
