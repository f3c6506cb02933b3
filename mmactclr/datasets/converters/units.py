"""Units of files that do not state one."""
import argparse
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mmengine.logging import print_log

from mmactclr.errors import ConfigError

METRES = {'m': 1., 'cm': .01, 'mm': .001, 'inch': .0254, 'foot': .3048}
PIXEL = 'pixel'
UNKNOWN = 'unknown'
_LEFT_TO_READER = ContextVar('whoever reads what is converted estimates the unit', default=False)


def add_unit_arguments(parser: argparse.ArgumentParser, what: str, further: Iterable[str] = ()) -> None:
    """Adds ``--unit`` and ``--metres-per-unit``, of which one can be given.

    Args:
        parser: Command line of a format.
        what: What the unit is of, for the help.
        further: Units beside ``METRES``.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--unit', choices=[*METRES, *further], help=f'of {what}; coordinates are stored in metres')
    group.add_argument('--metres-per-unit', type=float, metavar='X', help='the same as a number, for any other unit')


def to_metres(unit: str | None, metres_per_unit: float | None) -> tuple[float, str]:
    """What coordinates are multiplied with, and the unit that they have then.

    Raises:
        ConfigError: Both are given, or the number is not positive.
    """
    if metres_per_unit is not None:
        if unit is not None or not 0 < metres_per_unit < math.inf:
            raise ConfigError(f'--metres-per-unit {metres_per_unit}: expected a positive number, and no --unit with it')
        return metres_per_unit, 'm'
    return METRES.get(unit or UNKNOWN, 1.), 'm' if unit in METRES else unit or UNKNOWN


def ask_for_unit(question: str, option: str) -> None:
    """Warn that coordinates are stored as they are since nothing says their unit, unless their reader estimates it.

    Args:
        question: Which file does not say it.
        option: What says it on the command line.
    """
    if not _LEFT_TO_READER.get():
        print_log(f'{question}; coordinates are kept as they are, pass {option} to convert them', logger='current',
                  level=logging.WARNING)


@contextmanager
def unit_left_to_reader() -> Iterator[None]:
    """While open, a converter does not ask for a unit: who reads the archive estimates it and says so, as inference."""
    token = _LEFT_TO_READER.set(True)
    try:
        yield
    finally:
        _LEFT_TO_READER.reset(token)
