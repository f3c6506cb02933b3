"""Loops."""
from .representation_test_loop import RepresentationTestLoop
from .resumable_train_loop import ResumableTrainLoop

__all__ = ['RepresentationTestLoop', 'ResumableTrainLoop']
