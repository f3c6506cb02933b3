# section 5 of the method: a classifier on the frozen encoder, 100 epochs, lr 3 per 128, a tenth of it from epoch 80
_base_ = './supervised.py'
train_cfg = dict(type='ResumableTrainLoop', max_epochs=100, val_interval=100)
train_dataloader = dict(batch_size=128, drop_last=False)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=3.0, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[80], gamma=0.1)
auto_scale_lr = dict(enable=False, base_batch_size=128)
model = dict(frozen=True)
custom_hooks = [dict(type='EncoderInitHook', init_from='', from_scratch=False), dict(type='FeatureCacheHook')]
