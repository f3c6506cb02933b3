# convert.py flat utd_mhad.npz data/utd_mhad
_base_ = './small.py'
data_root = 'data/utd_mhad'
layout = 'kinect20_utdmhad'
split = 'xsub'
num_frames = 32
max_persons = 1
