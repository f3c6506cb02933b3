_base_ = '../../_base_/protocols/finetune.py'
data_root = 'data/mine'
split = 'xsub'
