# CMD on PKU-MMD, part II: longer, x0.1 at epoch 800
_base_ = './cmd_450e.py'
train_cfg = dict(max_epochs=1000)
param_scheduler = dict(milestones=[800])
