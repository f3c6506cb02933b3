# section 5 of the method: everything is trained, 300 epochs, lr 0.1; from_scratch=True: the same network from nothing
_base_ = './supervised.py'
train_cfg = dict(type='ResumableTrainLoop', max_epochs=300, val_interval=50)
train_dataloader = dict(batch_size=128, drop_last=False)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[250], gamma=0.1)
auto_scale_lr = dict(enable=False, base_batch_size=128)
