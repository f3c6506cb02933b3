# ActCLR with the recipe for small sets (see moco_small.py); stage two adds pose noise, other paces, other bodies
# and mixing outside the actionlet.
weak = [
    dict(type='RandomWindow', low=0.4, high=1.0),
    dict(type='RandomShear', amplitude=0.3),
    dict(type='BoneJitter', scale=0.25),
    dict(type='PostureJitter')]
normal = [*weak, dict(type='GaussianNoise', std=0.01, p=0.5)]
strong = [dict(type='GaussianNoise', std=0.05, p=0.5)]
model = dict(
    type='ActCLR',
    layout='ntu25',
    stream='joint',
    skip_absent=True,
    stage_epochs=(100, 200),
    max_persons=2,
    num_frames=32,
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(
            query=dict(joints=weak),
            key=dict(joints=weak),
            act=dict(joints=normal),
            non=dict(base='act', joints=strong, stream=[dict(type='SkeletonAdaIN', p=0.5), dict(type='SkeletonMix')]))),
    backbone=dict(
        type='STGCN', layout='ntu25', channels=[16, 16, 32, 32, 64, 64, 128], strided_units=[2, 4], dropout=0.0),
    projector=dict(type='ProjectionMLP', in_channels=128, hidden_channels=128, out_channels=64),
    memory=dict(size=192, dim=64),
    loss=dict(type='InfoNCELoss', temperature=0.1),
    actionlet_head=dict(type='ActionletHead', selection='binary'),
    mining_loss=dict(type='SimilarityMiningLoss', tau_q=0.1, tau_k=0.04))
custom_hooks = [
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.98),
    dict(type='StaticAnchorHook'),
    dict(type='ActionletStatsHook')]
