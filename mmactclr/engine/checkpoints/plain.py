"""Plain data: what a checkpoint may hold beside its tensors."""
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmactclr.structures import Layout

# a layout of a thousand joints has some ten thousand values; nested lists of a hostile file have any number
MAX_VALUES = 100_000
MAX_DEPTH = 32
_SCALARS = (str, int, float, bool, type(None))


def as_plain(value: Any, where: str) -> Any:
    """A config as dicts, lists, tuples and scalars.

    Raises:
        ValueError: If something in it cannot be written like that; ``where`` is the name of the whole.
    """
    if isinstance(value, Layout):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): as_plain(item, f'{where}.{key}') for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_plain(item, f'{where}.{i}') for i, item in enumerate(value))
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, _SCALARS):
        raise ValueError(f'{where} is of type {type(value).__name__}')
    return value


def find_foreign(value: Any, most: int = MAX_VALUES, tensors: bool = False) -> str | None:
    """What keeps a value from being plain data of a sensible size; None where nothing does.

    Written for input from outside: it ends on lists that hold themselves and on values that repeat without end.

    Args:
        value: Anything.
        most: Number of values, those in lists and dicts counted as often as they are reached.
        tensors: Whether tensors count as plain data.
    """
    waiting, seen = [(value, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if seen > most or depth > MAX_DEPTH:
            return f'more than {most} values, or {MAX_DEPTH} levels'
        if isinstance(node, dict):
            strange = [key for key in node if not isinstance(key, str)]
            if strange:
                return f'the key {strange[0]!r}'
            waiting += [(item, depth + 1) for item in node.values()]
        elif isinstance(node, (list, tuple)):
            waiting += [(item, depth + 1) for item in node]
        elif not isinstance(node, _SCALARS) and not (tensors and torch.is_tensor(node)):
            return f'a {type(node).__name__}'
    return None
