default_scope = 'mmactclr'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='RunCheckpointHook', interval=10, minutes=30, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    non_finite=dict(type='NonFiniteHook'),
    collapse=dict(type='CollapseHook'),
    data_guard=dict(type='DataGuardHook'),
    peer_watch=dict(type='PeerWatchHook'),
    run_line=dict(type='RunLineHook'),
    training_progress=dict(type='TrainingProgressHook'),
    progress=dict(type='ProgressHook'),
    safe_checkpoint=dict(type='SafeCheckpointHook'),
    metrics_file=dict(type='MetricsFileHook'),
    resident_data=dict(type='ResidentDataHook'),
    report=dict(type='ReportHook'))

# where numbers go; curves and reports are drawn from what the local backend writes
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork'), dist_cfg=dict(backend='nccl'))
log_processor = dict(by_epoch=True, window_size=10)
log_level = 'INFO'
randomness = dict(seed=0)
load_from = None
resume = False

# every result table shows what pretraining adds to features that cost nothing
test_cfg = dict(
    type='RepresentationTestLoop',
    baselines=dict(
        unprepared_coordinates=dict(
            model=dict(type='FeatureBaseline', backbone=dict(type='RawCoordinates')),
            preparation=[dict(type='ResizeFrames', num_frames=50)]),
        prepared_coordinates=dict(model=dict(type='FeatureBaseline', backbone=dict(type='RawCoordinates'))),
        mean_joint_velocity=dict(model=dict(type='FeatureBaseline', backbone=dict(type='MeanVelocity'))),
        untrained_encoder=dict(model='untrained')))
