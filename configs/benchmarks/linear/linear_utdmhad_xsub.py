_base_ = '../../_base_/protocols/linear.py'
data_root = 'data/utd_mhad'
split = 'xsub'
