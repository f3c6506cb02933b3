"""What callers give, checked, and what they are told."""
import logging
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.errors import ConfigError, DataError
from mmactclr.transforms.adaptation import METRES
from mmactclr.utils.cli import in_a_tool

PIXEL, UNKNOWN = 'pixel', 'unknown'
UNITS = (*METRES, PIXEL, UNKNOWN)
# of a coordinate in any unit: a million kilometres in millimetres is no recording of people
_LARGEST = 1e12


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number of 1 or more.

    Raises:
        ConfigError: Naming the argument.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ConfigError(f'{name} is {value!r}, expected a whole number of 1 or more')


def check_factor(name: str, value: Any) -> None:
    """Refuse what is no positive number.

    Raises:
        ConfigError: Naming the argument.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not 0 < value < float('inf'):
        raise ConfigError(f'{name} is {value!r}, expected a positive number')


def known_unit(unit: Any, where: str = '') -> str:
    """A unit as it is written here.

    Raises:
        ConfigError: If it is not one of ``UNITS``.
    """
    plain = unit.strip().lower() if isinstance(unit, str) else unit
    if not isinstance(plain, str) or plain not in UNITS:
        raise ConfigError(f'{where}{": " if where else ""}unit is {unit!r}, expected one of {", ".join(UNITS)}')
    return plain


def as_numbers(values: Any, name: str, expected: str) -> np.ndarray:
    """Coordinates as float32.

    Raises:
        DataError: If these are no numbers, or absurd ones; what is not finite passes.
    """
    try:
        found = np.asarray(values.detach().cpu() if hasattr(values, 'detach') else values)
    except (ValueError, TypeError) as error:
        raise DataError(f'{name}: no array of numbers ({error}); expected {expected}') from error
    if found.dtype.kind not in 'fiu':
        raise DataError(f'{name}: an array of type {found.dtype}, expected numbers: {expected}')
    check_size(found, name)
    return found.astype(np.float32)


def check_size(keypoint: np.ndarray, name: str) -> None:
    """Refuse coordinates that no unit explains.

    Raises:
        DataError: Naming the largest.
    """
    largest = max(keypoint.max(initial=0, where=np.isfinite(keypoint)),
                  -keypoint.min(initial=0, where=np.isfinite(keypoint)))
    if largest > _LARGEST:
        raise DataError(f'{name}: a coordinate is {largest:.3g}, expected at most {_LARGEST:.0e} in any unit; the '
                        'recording is damaged or of another kind')


def say(notes: Iterable[tuple[str, Iterable[str]]], said: set[str]) -> None:
    """Tell what has to be known of recordings, each note once: to the log, or on stderr where a tool runs.

    Args:
        notes: Names of recordings and what is to be said of them.
        said: What was said before; grows.
    """
    for name, lines in notes:
        for line in lines:
            if line in said:
                continue
            said.add(line)
            if in_a_tool():
                print(f'note: {name}: {line}', file=sys.stderr)
            else:
                print_log(f'{name}: {line}', logger='current', level=logging.WARNING)
