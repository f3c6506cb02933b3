"""Small helpers without a room of their own."""
from .config import find_config, load_config, share_fields
from .random import derive_seed, seeded_rng
from .training_mode import eval_mode

__all__ = ['derive_seed', 'eval_mode', 'find_config', 'load_config', 'seeded_rng', 'share_fields']
