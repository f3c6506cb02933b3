_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/mine'
split = 'xsub'
