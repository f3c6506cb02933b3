# convert.py joined data/synthetic data/synthetic_joined
_base_ = '../../_base_/protocols/segmentation.py'
data_root = 'data/synthetic_joined'
split = 'xsub'
