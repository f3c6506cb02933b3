"""Evaluators over features that are extracted once."""
from .actionlet_limbs import fit_batch_statistics, limb_accuracy, shuffle_joints
from .actionlet_overlap import motion_region, overlap
from .classification import ClassificationEvaluator
from .features import FeatureMetric
from .few_shot import FewShotEvaluator, class_mean_scores, draw_shots
from .knn import KNNEvaluator, knn_predict
from .linear import LinearEvaluator, linear_probe
from .logistic import LogisticEvaluator, logistic_regression
from .retrieval import RetrievalEvaluator
from .segmentation import SegmentationEvaluator
from .table import format_table

__all__ = [
    'ClassificationEvaluator', 'FeatureMetric', 'FewShotEvaluator', 'KNNEvaluator', 'LinearEvaluator',
    'LogisticEvaluator', 'RetrievalEvaluator',
    'SegmentationEvaluator', 'class_mean_scores', 'draw_shots', 'fit_batch_statistics',
    'format_table', 'knn_predict', 'limb_accuracy', 'linear_probe', 'logistic_regression', 'motion_region',
    'overlap', 'shuffle_joints',
]
