# convert.py pkummd v2 data/pkummd2_untrimmed --as sequences
_base_ = '../../_base_/protocols/segmentation.py'
data_root = 'data/pkummd2_untrimmed'
split = 'xsub'
