"""Text files of which every line holds the same count of numbers."""
import numpy as np

from mmactclr.errors import DataError

from .text import fault, parse_numbers, shown

_LARGEST = float(np.finfo(np.float32).max)


def parse_table(content: bytes, file: object, columns: int, what: str, separator: bytes | None = None) -> np.ndarray:
    """Numbers of a text file; empty lines at its end are ignored.

    Args:
        content: The whole file; line ends may be LF, CRLF or CR.
        file: Its name, for messages.
        columns: Numbers that every line must hold.
        what: What a line is, for messages.
        separator: Between two numbers; blanks by default.

    Returns:
        (lines, columns) float64, all of them finite in float32.

    Raises:
        DataError: The file is empty or a line holds anything else; the message names file and line.
    """
    lines = content.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise fault(file, 0, f'the file is empty, expected {what}, {columns} numbers a line')
    tokens: list[bytes] = []
    for i, line in enumerate(lines):
        words = line.split() if separator is None else _split(line, separator)
        if len(words) != columns:
            raise fault(file, i, f'{shown(line)} holds {len(words)} values, expected {what}, {columns} numbers')
        tokens += words
    numbers = parse_numbers(tokens)
    if numbers is None or np.abs(numbers).max() > _LARGEST:
        raise _first_wrong(file, lines, tokens, columns, what)
    return numbers.reshape(-1, columns)


def _split(line: bytes, separator: bytes) -> list[bytes]:
    """Words of a line; a blank splits as well, so that it cannot make up for an empty word elsewhere."""
    return [part for word in line.split(separator) for part in word.split() or [b'']]


def _first_wrong(file: object, lines: list[bytes], tokens: list[bytes], columns: int, what: str) -> DataError:
    """The first line with a word that is no number that float32 can hold."""
    for i, line in enumerate(lines):
        numbers = parse_numbers(tokens[i * columns:(i + 1) * columns])
        if numbers is None or np.abs(numbers).max() > _LARGEST:
            return fault(file, i, f'{shown(line)}, expected {what}, {columns} finite numbers')
    return fault(file, len(lines) - 1, f'not all are numbers, expected {what}, {columns} numbers a line')
