"""Encoders, projectors, heads, losses and the methods built from them."""
from .algorithms import (
    CMD,
    ActCLR,
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
)
from .backbones import STGCN, MeanVelocity, RawCoordinates
from .data_preprocessor import ContrastivePreprocessor
from .heads import ActionletHead, ClassificationHead
from .losses import InfoNCELoss, NeighbourDistillationLoss, SimilarityMiningLoss
from .memory_bank import MemoryBank
from .necks import ProjectionMLP

__all__ = ['ActCLR', 'ActionletHead', 'AlignedStreams', 'BaseAlgorithm', 'CMD', 'ClassificationHead',
           'ContrastivePreprocessor', 'CrosSCLR', 'FeatureBaseline', 'InfoNCELoss', 'JointRecognizer', 'MeanVelocity',
           'MemoryBank', 'MoCo', 'MultiStream', 'NeighbourDistillationLoss', 'ProjectionMLP', 'RawCoordinates',
           'Recognizer', 'STGCN', 'Segmentor', 'SimilarityMiningLoss', 'SingleStream']
