"""Model wrappers."""
from .distributed_method import DistributedMethod

__all__ = ['DistributedMethod']
