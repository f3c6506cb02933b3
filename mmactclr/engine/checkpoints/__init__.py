"""Checkpoints: reading them safely, what they say of themselves, and whether they fit."""
from .card import CARD, ModelCard, write_checkpoint
from .reading import check_fit, read_checkpoint, require_file, state_of

__all__ = ['CARD', 'ModelCard', 'check_fit', 'read_checkpoint', 'require_file', 'state_of', 'write_checkpoint']
