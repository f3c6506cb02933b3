_base_ = '../../_base_/protocols/transfer.py'
data_root = 'data/pkummd2'
split = 'xsub'
