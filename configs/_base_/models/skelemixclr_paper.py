# SkeleMixCLR with the constants of its authors' code, for 50 frames: a block of 6 to 9 of 13 cells is the share of
# their 7 to 11 of 16. The graph has parent-to-child and child-to-parent links in subsets of their own.
init_from = {}
weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
model = dict(
    type='SkeleMixCLR',
    layout='ntu25',
    stream='joint',
    parts=(2, 3),
    cells=(6, 9),
    repeat=1,
    region_weight=0.5,
    data_preprocessor=dict(
        type='ContrastivePreprocessor', layout='ntu25', streams=['joint'],
        views=dict(query=dict(joints=weak), key=dict(joints=weak))),
    backbone=dict(
        type='STGCN', layout='ntu25', channels=[16, 16, 16, 16, 32, 32, 32, 64, 64, 256], strided_units=[5, 8],
        init_std=0.02, graph=dict(strategy='inward_outward')),
    projector=dict(
        type='ProjectionMLP', out_channels=128, init_std=0.02, batch_norm=True),
    memory=dict(size=32768, dim=128),
    loss=dict(type='InfoNCELoss', temperature=0.2))
custom_hooks = [
    dict(type='EncoderInitHook', init_from=init_from),
    dict(type='MemoryBankHook'),
    dict(type='MomentumUpdateHook', momentum=0.999)]
