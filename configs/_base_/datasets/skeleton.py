# Loaders and evaluators of every data set. A leaf names the data at its top; the fields stated there reach every place
# below (see docs/configs.md).
data_root = 'data/ntu60'
layout = 'ntu25'
split = 'xsub'
num_frames = 50
max_persons = 2
# recordings of other joints, units or axes than the model's
remap = False
up = None
metres_per_unit = None

dataset = dict(type='SkeletonDataset', data_root=data_root, layout=layout, split=split, num_frames=num_frames,
               max_persons=max_persons, remap=remap, up=up, metres_per_unit=metres_per_unit)
train_dataloader = dict(
    batch_size=128, num_workers=0, drop_last=True, collate_fn=dict(type='mmactclr.skeleton_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(dataset, subset='train'))
val_dataloader = dict(
    batch_size=256, num_workers=0, collate_fn=dict(type='mmactclr.skeleton_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(dataset, subset='both'))
test_dataloader = val_dataloader
val_evaluator = [dict(type='KNNEvaluator', k=[20], points=['backbone'])]
test_evaluator = [
    dict(type='KNNEvaluator', k=[1, 20], points=['backbone', 'projection']),
    dict(type='LinearEvaluator')]
# only the loaders hold it: here it would keep the values of this file
del dataset
