"""What hooks leave in a checkpoint, compared to what they write before any of them reads it."""
import math
from collections.abc import Mapping
from typing import Any

from mmactclr.errors import DataError

from .newest import is_session
from .plain import find_foreign

# a method logs tens of numbers; a hostile file any number
_MOST_NAMES = 10_000
_INTACT = 'take an intact copy of the file, or another checkpoint of the run'


def check_hook_state(checkpoint: Mapping[str, Any], meta: Mapping[str, Any], source: str) -> None:
    """Refuse a checkpoint in which a hook would read something else than it writes; all of it may be missing.

    Args:
        checkpoint: Content of the file.
        meta: Its ``meta``.
        source: Name of the file, for messages.

    Raises:
        DataError: If one of the values is of another kind.
    """
    data = meta.get('dataset_meta')
    checksum = data.get('checksum') if isinstance(data, dict) else None
    recipe = meta.get('recipe')
    foreign = find_foreign(recipe)
    said = {
        'logged_scalars': (_are_names(checkpoint.get('logged_scalars', [])), 'a list of names'),
        'actionlet_stats': (_are_statistics(checkpoint.get('actionlet_stats', {})),
                            "a dict with 'sums' and 'counts', finite numbers by name"),
        'meta.dataset_meta.checksum': (checksum is None or isinstance(checksum, str), 'a text'),
        'meta.session': (is_session(meta.get('session', 0)), 'a time in seconds since 1970'),
        'meta.recipe': (recipe is None or isinstance(recipe, dict) and foreign is None,
                        f'the config as plain data{f", found {foreign}" if foreign else ""}')}
    for where, (sound, expected) in said.items():
        if not sound:
            raise DataError(f'checkpoint {source!r}: {where} is damaged, expected {expected}; {_INTACT}')


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) <= _MOST_NAMES and all(isinstance(name, str)
                                                                                 for name in value)


def _are_statistics(value: Any) -> bool:
    if not isinstance(value, dict) or not {*value} <= {'sums', 'counts'}:
        return False
    sums, counts = value.get('sums', {}), value.get('counts', {})
    if not isinstance(sums, dict) or not isinstance(counts, dict) or {*sums} != {*counts}:
        return False
    numbers = all(type(number) in (int, float) and _is_finite(number) for number in sums.values())
    return _are_names([*sums]) and numbers and all(type(count) is int and 0 <= count < 2 ** 53
                                                   for count in counts.values())


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
