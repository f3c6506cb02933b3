_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/utd_mhad'
split = 'xsub'
