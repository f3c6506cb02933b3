_base_ = '../../_base_/protocols/retrieval.py'
data_root = 'data/utd_mhad'
split = 'xsub'
