_base_ = '../../_base_/protocols/finetune.py'
data_root = 'data/ui_prmd'
split = 'xsub'
