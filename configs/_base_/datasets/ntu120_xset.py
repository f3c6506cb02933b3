_base_ = './skeleton.py'
data_root = 'data/ntu120'
split = 'xset'
