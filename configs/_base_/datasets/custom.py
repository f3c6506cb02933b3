# your own archive, with whatever joints it has: data_root and split are yours to give
_base_ = './small.py'
data_root = 'data/mine'
layout = 'archive'
split = 'xsub'
num_frames = 32
max_persons = 1
