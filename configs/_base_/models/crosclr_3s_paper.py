# CrosSCLR with the constants of its authors' code: SkeletonCLR in every stream, the cross loss alone from epoch 151
_base_ = './skeletonclr_3s_paper.py'
model = dict(type='CrosSCLR', cross_epoch=150, topk=1, context=True)
