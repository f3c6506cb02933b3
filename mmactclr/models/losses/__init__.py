"""Losses, one equation a file, each a pure function under a thin module."""
from .cross_contrast import cross_contrast
from .info_nce import InfoNCELoss, info_nce
from .neighbour_distillation import NeighbourDistillationLoss, neighbour_distillation
from .similarity_mining import SimilarityMiningLoss, similarity_mining

__all__ = ['InfoNCELoss', 'NeighbourDistillationLoss', 'SimilarityMiningLoss', 'cross_contrast', 'info_nce',
           'neighbour_distillation', 'similarity_mining']
