# section 5 of the method: k nearest neighbours on frozen features
_base_ = './frozen.py'
test_evaluator = [dict(type='KNNEvaluator', k=[1, 20], points=['backbone', 'projection'])]
