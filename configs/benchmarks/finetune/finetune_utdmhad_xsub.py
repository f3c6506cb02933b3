_base_ = '../../_base_/protocols/finetune.py'
data_root = 'data/utd_mhad'
split = 'xsub'
