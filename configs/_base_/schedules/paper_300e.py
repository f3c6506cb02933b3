# methods of one stage: SGD, lr 0.1 per 128 samples, x0.1 at epoch 250
_base_ = './paper_400e.py'
train_cfg = dict(max_epochs=300)
param_scheduler = dict(milestones=[250])
