# convert.py joined data/clips data/mine
_base_ = '../../_base_/protocols/segmentation.py'
data_root = 'data/mine'
split = 'xsub'
