_base_ = '../../_base_/protocols/finetune.py'
data_root = 'data/ntu60'
split = 'xsub'
