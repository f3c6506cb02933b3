"""Encoders: (N', C, T, V) joint coordinates in, a dense feature map out."""
from .graph import build_adjacency, normalised_neighbourhood
from .hand_made import FrameCoordinates, MeanVelocity, RawCoordinates
from .stgcn import STGCN

__all__ = ['STGCN', 'FrameCoordinates', 'MeanVelocity', 'RawCoordinates', 'build_adjacency',
           'normalised_neighbourhood']
