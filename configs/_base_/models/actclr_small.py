# ActCLR with the recipe for small sets (see moco_small.py). Outside the actionlet stage two shrinks the bones and adds
# noise; other bodies (AdaIN) and mixing cost accuracy at this size, so they are left to the paper's recipe.
init_from = {}
weak = [
    dict(type='RandomWindow', low=0.4, high=1.0),
    dict(type='RandomShear', amplitude=0.3),
    dict(type='BoneJitter', scale=0.25),
    dict(type='PostureJitter')]
strong = [dict(type='BoneRescale'), dict(type='GaussianNoise', std=0.02, p=0.5)]
model = dict(
    type='ActCLR',
    layout='ntu25',
    stream='joint',
    skip_absent=True,
    stage_epochs=(200, 100),
    max_persons=2,
    num_frames=32,
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(
            query=dict(joints=weak),
            key=dict(joints=weak),
            act=dict(joints=weak),
            non=dict(base='act', joints=strong))),
    backbone=dict(
        type='STGCN', layout='ntu25', channels=[16, 32, 64, 96], strided_units=[1, 2, 3], dropout=0.0),
    projector=dict(type='ProjectionMLP', out_channels=64),
    memory=dict(size=192, dim=64),
    loss=dict(type='InfoNCELoss', temperature=0.1),
    actionlet_head=dict(type='ActionletHead', selection='binary'),
    mining_loss=dict(type='SimilarityMiningLoss', tau_q=0.1, tau_k=0.02))
custom_hooks = [
    dict(type='EncoderInitHook', init_from=init_from),
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.99),
    dict(type='StaticAnchorHook'),
    dict(type='ActionletStatsHook')]
