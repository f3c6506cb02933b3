"""Encoders, projectors, heads, losses and the methods built from them."""
from .algorithms import (
    ActCLR,
    BaseAlgorithm,
    FeatureBaseline,
    MoCo,
    MultiStream,
    Recognizer,
    Segmentor,
    SingleStream,
)
from .backbones import STGCN, MeanVelocity, RawCoordinates
from .data_preprocessor import ContrastivePreprocessor
from .heads import ActionletHead, ClassificationHead
from .losses import InfoNCELoss, SimilarityMiningLoss
from .memory_bank import MemoryBank
from .necks import ProjectionMLP

__all__ = ['ActCLR', 'ActionletHead', 'BaseAlgorithm', 'ClassificationHead', 'ContrastivePreprocessor',
           'FeatureBaseline', 'InfoNCELoss', 'MeanVelocity', 'MemoryBank', 'MoCo', 'MultiStream', 'ProjectionMLP',
           'RawCoordinates', 'Recognizer', 'STGCN', 'Segmentor', 'SimilarityMiningLoss', 'SingleStream']
