_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/synthetic'
split = 'xsub'
