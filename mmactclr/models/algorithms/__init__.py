"""Pretraining methods and what is made of them, one file each."""
from .actclr import ActCLR
from .base import BaseAlgorithm
from .feature_baseline import FeatureBaseline
from .moco import MoCo
from .multi_stream import MultiStream
from .recognizer import Recognizer
from .segmentor import Segmentor
from .single_stream import SingleStream

__all__ = [
    'ActCLR', 'BaseAlgorithm', 'FeatureBaseline', 'MoCo', 'MultiStream', 'Recognizer', 'Segmentor', 'SingleStream',
]
