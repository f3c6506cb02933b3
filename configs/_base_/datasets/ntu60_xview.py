_base_ = './skeleton.py'
data_root = 'data/ntu60'
split = 'xview'
