_base_ = './checkpoint_utdmhad_xsub.py'
data_root = 'data/synthetic'
