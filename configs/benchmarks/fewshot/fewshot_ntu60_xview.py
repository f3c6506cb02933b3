_base_ = '../../_base_/protocols/fewshot.py'
data_root = 'data/ntu60'
split = 'xview'
