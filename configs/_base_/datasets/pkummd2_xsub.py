_base_ = './skeleton.py'
data_root = 'data/pkummd2'
split = 'xsub'
