_base_ = '../../_base_/protocols/transfer.py'
data_root = 'data/pkummd1'
split = 'xview'
