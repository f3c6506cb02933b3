"""Encoders, projectors, heads, losses and the methods built from them."""
from .algorithms import (
    CMD,
    ActCLR,
    AimCLR,
    AlignedStreams,
    BaseAlgorithm,
    CrosSCLR,
    FeatureBaseline,
    JointRecognizer,
    MoCo,
    MultiStream,
    Recognizer,
    Segmentor,
    SingleStream,
    SkeleMixCLR,
)
from .backbones import STGCN, MeanVelocity, RawCoordinates
from .data_preprocessor import ContrastivePreprocessor, ResidentJoints
from .heads import ActionletHead, ClassificationHead
from .losses import InfoNCELoss, NeighbourDistillationLoss, SimilarityMiningLoss
from .memory_bank import MemoryBank
from .necks import EnergyDrop, ProjectionMLP

__all__ = [
    'ActCLR', 'ActionletHead', 'AimCLR', 'AlignedStreams', 'BaseAlgorithm', 'CMD', 'ClassificationHead',
    'ContrastivePreprocessor', 'CrosSCLR', 'EnergyDrop', 'FeatureBaseline', 'InfoNCELoss', 'JointRecognizer',
    'MeanVelocity', 'MemoryBank', 'MoCo', 'MultiStream', 'NeighbourDistillationLoss', 'ProjectionMLP',
    'RawCoordinates', 'Recognizer', 'ResidentJoints', 'STGCN', 'Segmentor', 'SimilarityMiningLoss', 'SingleStream',
    'SkeleMixCLR',
]
