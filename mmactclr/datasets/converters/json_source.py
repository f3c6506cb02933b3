"""Reads JSON that may hold anything."""
import json
from typing import Any

from mmactclr.errors import DataError

from .text import fault

# A JSON of this size unpacks to some gigabytes of Python objects; recordings have less than one hundredth.
_MOST_BYTES = 1 << 26
# Digits that every whole number of a recording fits in; far longer ones take minutes to parse.
_MOST_DIGITS = 18


def load_json(content: bytes, file: object) -> Any:
    """Parses JSON text; whole numbers of too many digits and NaN become floats, for the caller to refuse.

    Args:
        content: The whole file, UTF-8.
        file: Its name, for messages.

    Raises:
        DataError: It is no JSON, a field appears twice in one object, or brackets are nested too deep.
    """
    if len(content) > _MOST_BYTES:
        raise DataError(f'{file}: {len(content)} bytes of JSON, expected a recording of at most {_MOST_BYTES}')
    try:
        return json.loads(content.decode('utf-8-sig'), parse_int=_whole,
                          object_pairs_hook=lambda pairs: _unique(pairs, file))
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b'\n')
        raise fault(file, line, f'byte {content[error.start]:#04x} is not UTF-8, expected JSON text') from None
    except json.JSONDecodeError as error:
        raise fault(file, error.lineno - 1, f'column {error.colno}: no JSON ({error.msg})') from None
    except RecursionError:
        raise DataError(f'{file}: brackets nested deeper than in any recording') from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _unique(pairs: list[tuple[str, Any]], file: object) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f'{file}: field {twice[:40]!a} appears twice')
    return fields
