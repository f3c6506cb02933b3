_base_ = '../../_base_/protocols/transfer.py'
data_root = 'data/ntu120'
split = 'xsub'
