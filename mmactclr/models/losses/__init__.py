"""Losses, one equation a file, each a pure function under a thin module."""
from .info_nce import InfoNCELoss, info_nce
from .similarity_mining import SimilarityMiningLoss, similarity_mining

__all__ = ['InfoNCELoss', 'SimilarityMiningLoss', 'info_nce', 'similarity_mining']
