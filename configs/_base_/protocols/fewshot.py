# 1, 5 and 10 labelled sequences per class, drawn 50 times; nearest class mean on frozen features
_base_ = './frozen.py'
test_evaluator = [dict(type='FewShotEvaluator', shots=[1, 5, 10], draws=50, points=['backbone', 'projection'])]
