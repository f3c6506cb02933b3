_base_ = './skeleton.py'
data_root = 'data/pkummd1'
split = 'xsub'
