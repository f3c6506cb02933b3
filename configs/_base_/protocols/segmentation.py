# section 5 of the method: a classifier of frames on the frozen encoder, 300 epochs; windows of as many frames as the
# encoder takes, half of them shared with the next one
_base_ = './supervised.py'
num_classes = 'segments'
dataset = dict(type='SegmentationDataset', data_root='', layout='ntu25', split='xsub', num_frames=50, max_persons=2,
               remap=True, up=None, metres_per_unit=None)
train_dataloader = dict(batch_size=128, drop_last=False, dataset=dict(dataset, _delete_=True, subset='train'))
val_dataloader = dict(batch_size=128, dataset=dict(dataset, _delete_=True, subset='test'))
test_dataloader = val_dataloader
del dataset
train_cfg = dict(type='ResumableTrainLoop', max_epochs=300, val_interval=300)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, T_max=300, convert_to_iter_based=True)
auto_scale_lr = dict(enable=False, base_batch_size=128)
model = dict(type='Segmentor', frozen=True)
custom_hooks = [dict(type='EncoderInitHook', init_from='', from_scratch=False), dict(type='FeatureCacheHook')]
val_evaluator = [dict(type='SegmentationEvaluator', classes=None)]
test_evaluator = [dict(type='SegmentationEvaluator', classes=None)]
