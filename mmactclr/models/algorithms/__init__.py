"""Pretraining methods, one file each."""
from .actclr import ActCLR
from .base import BaseAlgorithm
from .feature_baseline import FeatureBaseline
from .moco import MoCo
from .multi_stream import MultiStream

__all__ = ['ActCLR', 'BaseAlgorithm', 'FeatureBaseline', 'MoCo', 'MultiStream']
