"""Files that a reader never sees half written."""
import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside and rename it."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True))


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
