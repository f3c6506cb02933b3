_base_ = '../../_base_/protocols/linear.py'
data_root = 'data/pkummd2'
split = 'xsub'
