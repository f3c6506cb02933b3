"""Pretraining methods and what is made of them, one file each."""
from .actclr import ActCLR
from .aimclr import AimCLR
from .base import BaseAlgorithm
from .feature_baseline import FeatureBaseline
from .moco import MoCo
from .multi_stream import MultiStream
from .recognizer import Recognizer
from .segmentor import Segmentor
from .skelemixclr import SkeleMixCLR

__all__ = ['ActCLR', 'AimCLR', 'BaseAlgorithm', 'FeatureBaseline', 'MoCo', 'MultiStream', 'Recognizer', 'Segmentor',
           'SkeleMixCLR']
