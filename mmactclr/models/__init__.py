"""Encoders, projectors, heads, losses and the methods built from them."""
from .algorithms import (
    ActCLR,
    AimCLR,
    BaseAlgorithm,
    FeatureBaseline,
    MoCo,
    MultiStream,
    Recognizer,
    Segmentor,
    SkeleMixCLR,
)
from .backbones import STGCN, MeanVelocity, RawCoordinates
from .data_preprocessor import ContrastivePreprocessor
from .heads import ActionletHead, ClassificationHead
from .losses import InfoNCELoss, SimilarityMiningLoss
from .memory_bank import MemoryBank
from .necks import EnergyDrop, ProjectionMLP

__all__ = ['ActCLR', 'ActionletHead', 'AimCLR', 'BaseAlgorithm', 'ClassificationHead', 'ContrastivePreprocessor',
           'EnergyDrop', 'FeatureBaseline', 'InfoNCELoss', 'MeanVelocity', 'MemoryBank', 'MoCo', 'MultiStream',
           'ProjectionMLP', 'RawCoordinates', 'Recognizer', 'STGCN', 'Segmentor', 'SimilarityMiningLoss', 'SkeleMixCLR']
