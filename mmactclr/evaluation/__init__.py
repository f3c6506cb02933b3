"""Evaluators over features that are extracted once."""
from .features import FeatureMetric
from .knn import KNNEvaluator, knn_predict
from .linear import LinearEvaluator, linear_probe
from .table import format_table

__all__ = ['FeatureMetric', 'KNNEvaluator', 'LinearEvaluator', 'format_table', 'knn_predict', 'linear_probe']
