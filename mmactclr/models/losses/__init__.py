"""Losses, one equation a file, each a pure function under a thin module."""
from .cross_contrast import cross_contrast
from .d3m import d3m
from .info_nce import InfoNCELoss, contrast_logits, info_nce
from .multi_positive import key_and_neighbours, multi_positive
from .neighbour_distillation import NeighbourDistillationLoss, neighbour_distillation
from .similarity_mining import SimilarityMiningLoss, similarity_mining

__all__ = ['InfoNCELoss', 'NeighbourDistillationLoss', 'SimilarityMiningLoss', 'contrast_logits', 'cross_contrast',
           'd3m', 'info_nce', 'key_and_neighbours', 'multi_positive', 'neighbour_distillation', 'similarity_mining']
