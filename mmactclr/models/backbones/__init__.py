"""Encoders: (N', C, T, V) joint coordinates in, a dense feature map out."""
from .agcn import AGCN
from .bigru import BiGRU
from .ctrgcn import CTRGCN
from .graph import build_adjacency, normalised_neighbourhood
from .hand_made import FrameCoordinates, MeanVelocity, RawCoordinates
from .interface import SkeletonBackbone, check_feature_map, feature_width
from .stgcn import STGCN
from .stgcnpp import STGCNPP
from .transformer import SkeletonTransformer

__all__ = ['AGCN', 'BiGRU', 'CTRGCN', 'STGCN', 'STGCNPP', 'FrameCoordinates', 'MeanVelocity', 'RawCoordinates',
           'SkeletonBackbone', 'SkeletonTransformer', 'build_adjacency', 'check_feature_map', 'feature_width',
           'normalised_neighbourhood']
