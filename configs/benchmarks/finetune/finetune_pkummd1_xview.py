_base_ = '../../_base_/protocols/finetune.py'
data_root = 'data/pkummd1'
split = 'xview'
