"""Loops."""
from .representation_test_loop import RepresentationTestLoop

__all__ = ['RepresentationTestLoop']
