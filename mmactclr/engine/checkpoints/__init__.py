"""Checkpoints: reading them safely, what they say of themselves, and whether they fit."""
from .card import CARD, ModelCard, write_checkpoint
from .config_card import FROM_CHECKPOINT, adopt_card, adopt_encoder, card_of_config, takes_encoder
from .fit import check_fit
from .newest import find_newest
from .reading import read_checkpoint, require_file, state_of
from .resumption import check_progress, check_resumable, check_training_state
from .streams import join_streams, take_stream

__all__ = ['CARD', 'FROM_CHECKPOINT', 'ModelCard', 'adopt_card', 'adopt_encoder', 'card_of_config', 'check_fit',
           'check_progress', 'check_resumable', 'check_training_state', 'find_newest', 'join_streams',
           'read_checkpoint', 'require_file', 'state_of', 'take_stream', 'takes_encoder', 'write_checkpoint']
