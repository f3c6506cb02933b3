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
from .backbones import (
    AGCN,
    CTRGCN,
    STGCN,
    STGCNPP,
    BiGRU,
    MeanVelocity,
    RawCoordinates,
    SkeletonBackbone,
    SkeletonTransformer,
)
from .data_preprocessor import ContrastivePreprocessor, ResidentJoints
from .heads import ActionletHead, ClassificationHead
from .losses import InfoNCELoss, NeighbourDistillationLoss, SimilarityMiningLoss
from .memory_bank import MemoryBank
from .necks import EnergyDrop, ProjectionMLP

__all__ = [
    'AGCN', 'ActCLR', 'ActionletHead', 'AimCLR', 'AlignedStreams', 'BaseAlgorithm', 'BiGRU', 'CMD', 'CTRGCN',
    'ClassificationHead', 'ContrastivePreprocessor', 'CrosSCLR', 'EnergyDrop', 'FeatureBaseline', 'InfoNCELoss',
    'JointRecognizer', 'MeanVelocity', 'MemoryBank', 'MoCo', 'MultiStream', 'NeighbourDistillationLoss',
    'ProjectionMLP', 'RawCoordinates', 'Recognizer', 'ResidentJoints', 'STGCN', 'STGCNPP', 'Segmentor',
    'SimilarityMiningLoss', 'SingleStream', 'SkeleMixCLR', 'SkeletonBackbone', 'SkeletonTransformer',
]
