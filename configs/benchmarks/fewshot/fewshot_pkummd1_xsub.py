_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/pkummd1'
split = 'xsub'
