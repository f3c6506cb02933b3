# convert.py joined data/utd_mhad data/utd_mhad_joined
_base_ = '../../_base_/protocols/segmentation.py'
data_root = 'data/utd_mhad_joined'
split = 'xsub'
