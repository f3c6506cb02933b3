# classes that the classifier of a checkpoint sees in every sequence of an archive, with or without labels
_base_ = '../transfer/checkpoint_custom.py'
split = None
test_dataloader = dict(dataset=dict(subset='train'))
test_evaluator = [dict(type='ClassificationEvaluator', classes=None)]
test_cfg = dict(_delete_=True, type='RepresentationTestLoop')
custom_hooks = [dict(type='PredictionsFileHook', classes=None)]
