# a few hundred to a few thousand sequences: smaller batches, a probe whose step fits any feature scale
_base_ = './skeleton.py'
train_dataloader = dict(batch_size=32)
test_evaluator = [
    dict(type='KNNEvaluator', k=[1, 20], points=['backbone', 'projection']),
    dict(type='LinearEvaluator', lr=0.1, standardize=True)]
