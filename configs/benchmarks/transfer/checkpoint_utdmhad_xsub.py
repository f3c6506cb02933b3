# whatever model a checkpoint with a card holds, on the joints, frames and persons that it takes
_base_ = ['../../_base_/datasets/utdmhad_xsub.py', '../../_base_/default_runtime.py']
model = 'checkpoint'
remap = True
test_evaluator = [
    dict(type='KNNEvaluator', k=[1, 20], points=['backbone', 'projection']),
    dict(type='LinearEvaluator', lr=0.1, standardize=True),
    dict(type='LogisticEvaluator')]
