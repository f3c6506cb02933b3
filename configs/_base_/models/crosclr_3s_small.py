# CrosSCLR with the recipe for small sets (see moco_small.py); the cross loss starts half-way as in the paper
_base_ = './skeletonclr_3s_small.py'
model = dict(type='CrosSCLR', cross_epoch=150, topk=1, context=True)
