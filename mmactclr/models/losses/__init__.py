"""Losses, one equation a file, each a pure function under a thin module."""
from .d3m import d3m
from .info_nce import InfoNCELoss, contrast_logits, info_nce
from .multi_positive import key_and_neighbours, multi_positive
from .similarity_mining import SimilarityMiningLoss, similarity_mining

__all__ = ['InfoNCELoss', 'SimilarityMiningLoss', 'contrast_logits', 'd3m', 'info_nce', 'key_and_neighbours',
           'multi_positive', 'similarity_mining']
