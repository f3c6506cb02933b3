_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/pkummd2'
split = 'xview'
