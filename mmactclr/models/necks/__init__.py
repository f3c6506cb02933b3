"""Projection heads between pooled features and the contrastive losses."""
from .projection import ProjectionMLP

__all__ = ['ProjectionMLP']
