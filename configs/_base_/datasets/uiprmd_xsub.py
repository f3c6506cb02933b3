# convert.py flat ui_prmd.npz data/ui_prmd --where is_correct=1
_base_ = './small.py'
data_root = 'data/ui_prmd'
layout = 'uiprmd22'
split = 'xsub'
num_frames = 32
max_persons = 1
