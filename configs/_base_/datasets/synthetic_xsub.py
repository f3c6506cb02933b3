# convert.py synthetic - data/synthetic
_base_ = './small.py'
data_root = 'data/synthetic'
layout = 'ntu25'
split = 'xsub'
num_frames = 32
max_persons = 2
