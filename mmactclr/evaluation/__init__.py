"""Evaluators over features that are extracted once."""
from .actionlet_limbs import fit_batch_statistics, limb_accuracy, shuffle_joints
from .actionlet_overlap import motion_region, overlap
from .actionlet_parts import ClassShares, class_shares, part_shares
from .classification import ClassificationEvaluator
from .collecting import RunResult, as_markdown, as_records, choose_metrics, over_seeds, read_results
from .features import FeatureMetric
from .few_shot import FewShotEvaluator, class_mean_scores, draw_shots
from .knn import KNNEvaluator, knn_predict
from .linear import LinearEvaluator, linear_probe
from .logistic import LogisticEvaluator, logistic_regression
from .named_limbs import LimbScores, limb_scores, mirrored_limbs, motion_energy, named_limbs
from .outcome import Outcome
from .retrieval import RetrievalEvaluator
from .segmentation import SegmentationEvaluator
from .table import format_table

__all__ = [
    'ClassShares', 'ClassificationEvaluator', 'FeatureMetric', 'FewShotEvaluator', 'KNNEvaluator', 'LimbScores',
    'LinearEvaluator', 'LogisticEvaluator', 'Outcome', 'RetrievalEvaluator', 'RunResult', 'SegmentationEvaluator',
    'as_markdown', 'as_records', 'choose_metrics', 'class_mean_scores', 'class_shares', 'draw_shots',
    'fit_batch_statistics', 'format_table', 'knn_predict', 'limb_accuracy', 'limb_scores', 'linear_probe',
    'logistic_regression', 'mirrored_limbs', 'motion_energy', 'motion_region', 'named_limbs', 'over_seeds',
    'overlap', 'part_shares', 'read_results', 'shuffle_joints',
]
