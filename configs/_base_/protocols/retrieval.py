# search by example: is the nearest training sequence of the class of the query, and how high do others of its class rank
_base_ = './frozen.py'
test_evaluator = [dict(type='RetrievalEvaluator', points=['backbone', 'projection'])]
