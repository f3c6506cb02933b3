# search by example: is the nearest training sequence of the class of the query, and how high do its others rank
_base_ = './frozen.py'
test_evaluator = [dict(type='RetrievalEvaluator', points=['backbone', 'projection'])]
