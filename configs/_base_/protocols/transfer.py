# features that were learned on another data set: nearest neighbours, linear probe and logistic regression
_base_ = './frozen.py'
test_evaluator = [
    dict(type='KNNEvaluator', k=[1, 20], points=['backbone', 'projection']),
    dict(type='LinearEvaluator', lr=0.1, standardize=True),
    dict(type='LogisticEvaluator')]
