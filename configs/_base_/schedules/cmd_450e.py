# CMD: SGD, lr 0.01 per 64 samples, x0.1 at epoch 350
_base_ = './paper_400e.py'
train_cfg = dict(max_epochs=450)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = dict(milestones=[350])
auto_scale_lr = dict(base_batch_size=64)
