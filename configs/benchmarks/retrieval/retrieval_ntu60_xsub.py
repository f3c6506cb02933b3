_base_ = '../../_base_/protocols/retrieval.py'
data_root = 'data/ntu60'
split = 'xsub'
