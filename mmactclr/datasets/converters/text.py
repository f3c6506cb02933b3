"""What readers of text formats share."""
import re

import numpy as np

from mmactclr.errors import DataError

_COUNT = re.compile(rb'[0-9]{1,18}')
# How much of a wrong line a message shows.
_SHOWN = 40


def fault(file: object, line: int, message: str) -> DataError:
    """An error that names file and line.

    Args:
        file: Name of the file.
        line: Position of the line, counted from 0.
        message: What was found and what was expected.
    """
    return DataError(f'{file}, line {line + 1}: {message}')


def shown(text: bytes) -> str:
    """The start of a line, fit for a message."""
    cut = text.strip()[:_SHOWN].decode('ascii', 'backslashreplace')
    return repr(cut) + (' ...' if len(text.strip()) > _SHOWN else '')


def read_count(file: object, lines: list[bytes], i: int, what: str, most: int) -> int:
    """The one number from 0 to ``most`` that line ``i`` holds.

    Raises:
        DataError: It holds anything else.
    """
    text = lines[i].strip()
    if not _COUNT.fullmatch(text) or int(text) > most:
        raise fault(file, i, f'{shown(text)}, expected {what}, a whole number from 0 to {most}')
    return int(text)


def parse_numbers(tokens: list[bytes]) -> np.ndarray | None:
    """Finite numbers of tokens, (len(tokens),) float64; None where one of them is anything else."""
    try:
        # one call that parses in C; a token that holds blanks or no number changes the count
        numbers = np.fromstring(b' '.join(tokens), sep=' ')
    except (ValueError, DeprecationWarning):
        return None
    return numbers if len(numbers) == len(tokens) and np.isfinite(numbers).all() else None
