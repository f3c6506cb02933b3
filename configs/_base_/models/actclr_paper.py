# ActCLR with the constants and switches of the paper (section 3 of the method)
# a checkpoint to start the encoder from, or one for each stream: --cfg-options init_from=CKPT
init_from = {}
weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
normal = [
    *weak,
    dict(type='RandomFlip', p=0.5),
    dict(type='RandomRotation'),
    dict(type='GaussianNoise', std=0.01, p=0.5),
    dict(type='GaussianBlur', p=0.5),
    dict(type='AxisMask', p=0.5)]
# what T_non adds to the joints of T_act: one geometry on both sides of the actionlet
strong = [
    dict(type='GaussianNoise', std=0.05, p=0.5),
    dict(type='TimeInterpolate', p=0.5),
    dict(type='BoneRescale')]
model = dict(
    type='ActCLR',
    layout='ntu25',
    stream='joint',
    stage_epochs=(100, 300),
    max_persons=2,
    num_frames=50,
    terms=[dict(inside='act', outside='non')],
    anchor='dataset',
    key_pooling='safp',
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(
            query=dict(joints=weak),
            key=dict(joints=weak),
            act=dict(joints=normal, stream=[dict(type='SkeletonAdaIN', p=0.5)]),
            non=dict(base='act', joints=strong,
                     stream=[dict(type='SkeletonAdaIN', p=0.5), dict(type='SkeletonMix')]))),
    backbone=dict(type='STGCN', layout='ntu25'),
    projector=dict(type='ProjectionMLP', out_channels=128),
    memory=dict(size=8192, dim=128),
    loss=dict(type='InfoNCELoss', temperature=0.07),
    actionlet_head=dict(
        type='ActionletHead', selection='binary', smoothing='adjacency', signed=False, channels='sum', pooling='raw'),
    mining_loss=dict(
        type='SimilarityMiningLoss', tau_q=0.1, tau_k=0.04, squared=False, ceiling=None, top_k=None))
custom_hooks = [
    dict(type='EncoderInitHook', init_from=init_from),
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.999),
    dict(type='StaticAnchorHook'),
    dict(type='ActionletStatsHook')]
