_base_ = '../../_base_/protocols/finetune.py'
data_root = 'data/nw_ucla'
split = 'xview'
