_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/nw_ucla'
split = 'xview'
