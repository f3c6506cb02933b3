# the motion stream of the published encoders: half as long, as 40 epochs of the joint stream were nearly worth its 100
_base_ = './actclr_joint_flagship.py'
model = dict(stage_epochs=(50, 0), stream='motion', data_preprocessor=dict(streams=['motion']))
train_cfg = dict(max_epochs=50, val_interval=50)
param_scheduler = dict(T_max=50)
