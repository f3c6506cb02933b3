# convert.py flat nw_ucla.npz data/nw_ucla; split='xview_clean' leaves out test files that are copies of training files
_base_ = './small.py'
data_root = 'data/nw_ucla'
layout = 'kinect20_nwucla'
split = 'xview'
num_frames = 32
max_persons = 1
