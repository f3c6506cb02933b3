# a few hundred to a few thousand sequences on a CPU: small steps, cosine to the end
train_cfg = dict(type='ResumableTrainLoop', max_epochs=300, val_interval=10)
val_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=False))
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, T_max=300, convert_to_iter_based=True)
auto_scale_lr = dict(enable=False, base_batch_size=32)
