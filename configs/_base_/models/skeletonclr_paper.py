# SkeletonCLR with the constants of its authors' code: momentum contrast, 10 units at a quarter of the width, 32768 keys
_base_ = './moco_paper.py'
model = dict(
    backbone=dict(
        channels=[16, 16, 16, 16, 32, 32, 32, 64, 64, 256], strided_units=[5, 8], init_std=0.02),
    projector=dict(init_std=0.02),
    memory=dict(size=32768))
