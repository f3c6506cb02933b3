# section 5 of the method: everything is trained on a share of the labels, round(fraction * n) a class, at least one
_base_ = './finetune.py'
label_subset = dict(fraction=0.01, seed=0)
train_dataloader = dict(dataset=dict(label_subset=label_subset))
custom_hooks = [dict(type='EncoderInitHook', init_from='', from_scratch=False), dict(type='LabelSubsetHook')]
