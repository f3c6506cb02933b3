"""Pretraining methods and what is made of them, one file each."""
from .actclr import ActCLR
from .aimclr import AimCLR
from .aligned_streams import AlignedStreams
from .base import BaseAlgorithm
from .cmd import CMD
from .crosclr import CrosSCLR
from .feature_baseline import FeatureBaseline
from .joint_recognizer import JointRecognizer
from .moco import MoCo
from .multi_stream import MultiStream
from .recognizer import Recognizer
from .segmentor import Segmentor
from .single_stream import SingleStream
from .skelemixclr import SkeleMixCLR

__all__ = [
    'CMD', 'ActCLR', 'AimCLR', 'AlignedStreams', 'BaseAlgorithm', 'CrosSCLR', 'FeatureBaseline', 'JointRecognizer',
    'MoCo', 'MultiStream', 'Recognizer', 'Segmentor', 'SingleStream', 'SkeleMixCLR',
]
