"""Small helpers without a room of their own, imported on first use: a tool's ``--help`` waits for none of them."""
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import find_config, load_config, recipe_hash, recipe_of, share_fields
    from .files import read_arrays, write_csv, write_json, write_npz, write_text, written_aside
    from .random import derive_seed, seeded_rng
    from .training_mode import eval_mode

_HOMES = {
    **dict.fromkeys(('find_config', 'load_config', 'recipe_hash', 'recipe_of', 'share_fields'), 'config'),
    **dict.fromkeys(
        ('read_arrays', 'write_csv', 'write_json', 'write_npz', 'write_text', 'written_aside'), 'files'),
    **dict.fromkeys(('derive_seed', 'seeded_rng'), 'random'),
    'eval_mode': 'training_mode'}

__all__ = [
    'derive_seed', 'eval_mode', 'find_config', 'load_config', 'read_arrays', 'recipe_hash', 'recipe_of', 'seeded_rng',
    'share_fields', 'write_csv', 'write_json', 'write_npz', 'write_text', 'written_aside',
]


def __getattr__(name: str) -> Any:
    """A helper, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
