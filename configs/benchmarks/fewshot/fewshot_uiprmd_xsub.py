_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/ui_prmd'
split = 'xsub'
