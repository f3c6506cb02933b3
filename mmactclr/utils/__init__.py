"""Small helpers without a room of their own."""
from .config import find_config, load_config, recipe_hash, recipe_of, share_fields
from .files import read_arrays, write_csv, write_json, write_npz, write_text, written_aside
from .random import derive_seed, seeded_rng
from .training_mode import eval_mode

__all__ = [
    'derive_seed', 'eval_mode', 'find_config', 'load_config', 'read_arrays', 'recipe_hash', 'recipe_of', 'seeded_rng',
    'share_fields', 'write_csv', 'write_json', 'write_npz', 'write_text', 'written_aside',
]
