"""Files that a reader never sees half written."""
import csv
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from mmactclr.errors import DataError

# what files of numpy.save and numpy.savez begin with
_BEGINNINGS = (b'\x93NUMPY', b'PK')


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to, which becomes ``path`` if all goes well and is removed if not.

    The folder is made where it is missing. The name ends as that of ``path`` does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.stem}.partial-{os.getpid()}{path.suffix}')
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_npz(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write arrays aside and rename the file, whose name ends in ``.npz``; the folder is made where it is missing."""
    with written_aside(path) as aside:
        np.savez(aside, **columns)
    return path


def read_arrays(source: Path | IO[bytes], name: object) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an npy file or the arrays of an npz by name; nothing in it is executed.

    Args:
        source: File, or what is in it.
        name: What messages call it.

    Raises:
        DataError: If it cannot be read, is something else, or holds Python objects.
    """
    try:
        with source.open('rb') if isinstance(source, Path) else source as file:
            beginning = file.read(6)
            file.seek(0)
            if not beginning.startswith(_BEGINNINGS):
                raise DataError(f'{name} cannot be read: it is no file of numpy.save or numpy.savez, which begin with '
                                f'{_BEGINNINGS[0]!r} or {_BEGINNINGS[1]!r}, but begins with {beginning!r}')
            content = np.load(file, allow_pickle=False)
            return content if isinstance(content, np.ndarray) else {key: content[key] for key in content.files}
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = 'it holds Python objects, expected arrays of numbers and text' if 'allow_pickle' in str(error) \
            else f'{type(error).__name__}: {error}'
        raise DataError(f'{name} cannot be read ({reason})') from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside and rename it; numbers that are not finite, which JSON does not know, become null."""
    write_text(path, json.dumps(_finite(content), indent=2, sort_keys=True, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: Path, text: str) -> Path:
    """Write text that ends in one line end aside and rename it; the folder is made where it is missing."""
    with written_aside(path) as aside:
        aside.write_text(text.rstrip('\n') + '\n', encoding='utf-8')
    return path


def write_csv(path: Path, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table aside and rename it; the folder is made where it is missing."""
    with written_aside(path) as aside, aside.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path
