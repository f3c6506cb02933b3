# section 4 of the method: SGD, lr 0.1 per 128 samples, x0.1 at epoch 250 of stage two
train_cfg = dict(type='ResumableTrainLoop', max_epochs=400, val_interval=10)
val_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=False))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[350], gamma=0.1)
auto_scale_lr = dict(enable=False, base_batch_size=128)
