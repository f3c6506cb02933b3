_base_ = '../../_base_/protocols/retrieval.py'
data_root = 'data/ntu120'
split = 'xsub'
