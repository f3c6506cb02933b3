"""Files that a reader never sees half written."""
import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


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
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + '.tmp')
    aside.write_text(text.rstrip('\n') + '\n', encoding='utf-8')
    os.replace(aside, path)
    return path


def write_csv(path: Path, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table aside and rename it; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + '.tmp')
    with aside.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(aside, path)
    return path
