# convert.py pkummd v1 data/pkummd1_untrimmed --as sequences
_base_ = '../../_base_/protocols/segmentation.py'
data_root = 'data/pkummd1_untrimmed'
split = 'xsub'
