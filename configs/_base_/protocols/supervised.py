# training with labels on the encoder of a checkpoint; the classifier is all there is to test
_base_ = ['../datasets/skeleton.py', '../models/recognizer.py', '../default_runtime.py']
remap = True
val_dataloader = dict(dataset=dict(subset='test'))
test_dataloader = dict(dataset=dict(subset='test'))
val_cfg = dict()
val_evaluator = [dict(type='ClassificationEvaluator', classes=None)]
test_evaluator = [dict(type='ClassificationEvaluator', classes=None)]
test_cfg = dict(_delete_=True, type='RepresentationTestLoop')
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=1), divergence=dict(type='DivergenceHook'))
