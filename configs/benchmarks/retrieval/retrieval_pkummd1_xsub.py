_base_ = '../../_base_/protocols/retrieval.py'
data_root = 'data/pkummd1'
split = 'xsub'
