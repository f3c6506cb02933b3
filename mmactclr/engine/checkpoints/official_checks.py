"""Refusing damaged public weights in the words of their own names, before anything is written."""
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.errors import DataError

from .official_names import public_name

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_WHOLE = (torch.int32, torch.int64)
# batch norms of old files do not count their batches; with a fixed momentum nothing depends on the number
_OPTIONAL = ('num_batches_tracked',)
_MEMORY = 'memory'


def check_numbers(state: Mapping[str, Any], source: str) -> None:
    """Refuse values that cannot be weights.

    Raises:
        DataError: If a value is no dense tensor of real or whole numbers, or not finite.
    """
    for name, value in state.items():
        if not torch.is_tensor(value) or value.layout != torch.strided or value.is_meta \
                or value.dtype not in _REAL + _WHOLE:
            found = f'{value.dtype}, {value.layout}' if torch.is_tensor(value) else type(value).__name__
            raise DataError(f'{source}: {name} is no dense tensor of numbers (found {found}); take an intact copy of '
                            'the file')
        if not torch.isfinite(value).all():
            raise DataError(f'{source}: {name} holds numbers that are not finite (NaN or infinite); take weights from '
                            'before training diverged')


def shape_of(state: Mapping[str, Tensor], name: str, dims: int, source: str) -> tuple[int, ...]:
    """Shape of a weight that has to have ``dims`` dimensions.

    Raises:
        DataError: If it has another number of them.
    """
    shape = tuple(state[name].shape)
    if len(shape) != dims:
        raise DataError(f'{source}: {name} has the shape {shape}, expected {dims} dimensions; the file is damaged or '
                        'of another architecture')
    return shape


def check_whole(model: nn.Module, converted: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that would leave a part of their model as it was initialised, or have no place in it.

    Unlike a run, which fills what is missing, an encoder without its batch-norm statistics gives wrong features
    without a word. Memories alone may be missing: they fill themselves.

    Args:
        model: Model that was derived from the weights.
        converted: Weights by our names.
        source: Name of the file, for messages.

    Raises:
        DataError: If a weight is missing, surplus, of another shape or of another kind of number.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in converted and not name.endswith(_OPTIONAL)
               and _MEMORY not in name.split('.')]
    surplus = [name for name in converted if name not in own]
    both = [name for name in own if name in converted]
    shapes = [name for name in both if converted[name].shape != own[name].shape]
    kinds = [name for name in both if converted[name].is_floating_point() != own[name].is_floating_point()]
    found = [f'{len(names)} {what} (first: {_describe(names[0], converted, own)})' for names, what in (
        (missing, 'weights are missing'), (surplus, 'have no place in the encoder'), (shapes, 'have another shape'),
        (kinds, 'are another kind of number')) if names]
    if found:
        raise DataError(f'{source}: {"; ".join(found)}; the file was cut, is of another architecture, or has other '
                        'strides (--strided-units)')


def _describe(name: str, converted: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    text = public_name(name) or name
    if name not in own or name not in converted:
        return text
    found, expected = ((tuple(state[name].shape), state[name].dtype) for state in (converted, own))
    return f'{text} {found[0]} {found[1]} instead of {expected[0]} {expected[1]}'
