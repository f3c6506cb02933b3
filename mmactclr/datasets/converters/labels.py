"""Classes, columns and splits of recordings that say nothing of them themselves: from folders, or from a table."""
import argparse
import csv
import difflib
import functools
import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive_format import REQUIRED_COLUMNS
from mmactclr.datasets.splits import PARTS
from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import derive_seed

from .naming import folders_below
from .source_files import SourceFile, natural_key

_SPLIT = 'split'
_COMMENT = '#'
# How much of a wrong cell a message shows.
_SHOWN = 80
_NOT_LISTED = 'not in the table of labels'
# Columns that are read whatever their case.
_KNOWN = ('file', 'label', 'subject', 'split')


@dataclass(frozen=True)
class Labels:
    """What is known of the recordings of a source.

    Attributes:
        files: Those that are known.
        classes: Class names in natural order; empty where nothing says a class.
        label: Position in ``classes`` by name of the file, -1 without classes.
        columns: Further fields by name of the file, splits as ``split_NAME`` among them.
        names: What a sequence is called by name of the file, where that is not the file's own name.
        excluded: Reason -> names of files that are left out.
    """

    files: Sequence[Any]
    classes: tuple[str, ...] = ()
    label: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    excluded: Mapping[str, list[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, file: SourceFile) -> str:
        """What the sequence of a file is called."""
        return self.names.get(str(file), file.stem)

    def of(self, file: SourceFile) -> tuple[int, dict[str, Any]]:
        """Label and columns of a file."""
        return self.label.get(str(file), -1), dict(self.columns.get(str(file), {}))


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--labels`` and the options for splits."""
    group = parser.add_argument_group('classes and splits')
    group.add_argument('--labels', metavar='FILE', help='CSV with a column "file" (name, or path below SRC, with or '
                       'without suffix) and any of "label", "split", "split_NAME" (train or test), "subject", ...; '
                       'without it the class is the folder that a file lies in')
    group.add_argument('--test-subjects', nargs='+', metavar='S', help='split "xsub": these values of the column '
                       '"subject" are the test part, all others train')
    group.add_argument('--test-fraction', type=float, metavar='X', help='split "random": this share of every class, '
                       'drawn at random, is the test part')
    group.add_argument('--seed', type=int, default=0, help='of --test-fraction')


def find_labels(src: Path, files: Sequence[SourceFile], table: str | Path | None = None) -> Labels:
    """Labels of files: from a table, or the name of the folder that a file lies in, where files lie in folders.

    Args:
        src: The source that was searched.
        files: What was found.
        table: CSV file.

    Raises:
        DataError: The table cannot be read, has no column ``file``, names a file twice or none of the files.
    """
    below = {str(file): _below(src, file) for file in files}
    names = _unique_names(files, below)
    if table is not None:
        return _from_table(src, files, below, names, Path(table))
    folders = {name: path[-1:] for name, path in below.items()}
    if not any(folders.values()):
        return Labels(list(files), names=names)
    outside = [file.name for file in files if not folders[str(file)]]
    classes = tuple(sorted({name for path in folders.values() for name in path}, key=natural_key))
    inside = [file for file in files if folders[str(file)]]
    return Labels(inside, classes, {str(file): classes.index(folders[str(file)][0]) for file in inside},
                  excluded={'in no folder that names a class': outside} if outside else {}, names=names)


def _below(src: Path, file: SourceFile) -> tuple[str, ...]:
    """Folders between the source and a file; a zip that is the source itself is none."""
    folders = folders_below(src, file)
    return folders[1:] if src.is_file() and file.member else folders


def _unique_names(files: Sequence[SourceFile], below: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Names with the folders in front, for files whose own name is that of another one too."""
    count = Counter(file.stem for file in files)
    return {str(file): '/'.join((*below[str(file)], file.stem)) for file in files if count[file.stem] > 1}


def _from_table(src: Path, files: Sequence[SourceFile], below: Mapping[str, tuple[str, ...]],
                sequence_names: Mapping[str, str], table: Path) -> Labels:
    rows = _read_table(table)
    place: dict[str, SourceFile | None] = {}
    for exact in (True, False):
        taken = set(place)
        for file in files:
            path = '/'.join((*below[str(file)], file.name))
            keys = {path, path.rsplit('.', 1)[0]} if exact else {file.name, file.stem}
            keys = {_composed(key) for key in keys}
            for key in keys - taken:
                # a name that two files have stands for neither; a path comes first
                place[key] = None if key in place else file
    known: dict[str, dict[str, Any]] = {}
    for line, row in rows:
        name = row.pop('file').replace('\\', '/').strip()
        found = place.get(_composed(name))
        if found is None:
            what = 'stands for several files, give its path' if _composed(name) in place else f'is no file below {src}'
            raise DataError(f'{table}, line {line}: file {name[:_SHOWN]!r} {what}')
        if str(found) in known:
            raise DataError(f'{table}, line {line}: file {name[:_SHOWN]!r} was named before')
        known[str(found)] = row
    chosen = [file for file in files if str(file) in known]
    missing = [file.name for file in files if str(file) not in known]
    columns = _typed([known[str(file)] for file in chosen])
    names = [str(row.pop('label', '')) for row in columns]
    classes: tuple[str, ...] = ()
    if any(names):
        if not all(names):
            first = next(file for file, name in zip(chosen, names, strict=True) if not name)
            raise DataError(f'{table}: {first.name} has no label, others have one; fill it in or leave the row out')
        classes = tuple(sorted(set(names), key=natural_key))
    return Labels(chosen, classes,
                  {str(file): classes.index(name) if classes else -1
                   for file, name in zip(chosen, names, strict=True)},
                  {str(file): row for file, row in zip(chosen, columns, strict=True)},
                  {_NOT_LISTED: missing} if missing else {}, sequence_names)


def _composed(name: str) -> str:
    """One spelling of names that look alike: Macs store the accent of a letter apart from it."""
    return unicodedata.normalize('NFC', name)


def _read_table(table: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines of a CSV with the names of its header; any of , ; and tab separates."""
    try:
        text = table.read_bytes().decode('utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'labels {table} cannot be read ({error}): expected a CSV file in UTF-8') from error
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith(_COMMENT)), '')
    separator = max(',;\t', key=header.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=''), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f'labels {table}: no CSV ({error})') from error
    first = next((i for i, cells in enumerate(lines) if any(cells) and not cells[0].startswith(_COMMENT)), 0)
    names = [name.strip() for name in lines[first]] if lines else []
    # spreadsheets like capitals
    names = [name.lower() if name.lower() in _KNOWN or name.lower().startswith('split_') else name for name in names]
    if {'split', 'split_xsub'} <= set(names):
        raise DataError(f'labels {table}, line {first + 1}: split and split_xsub are the same split: leave one out')
    if 'file' not in names or len(set(names)) != len(names):
        raise DataError(f'labels {table}, line {first + 1}: the header is {ascii(names)[:200]}, expected different '
                        'names with "file" among them')
    if '' in names:
        raise DataError(f'labels {table}, line {first + 1}: column {names.index("") + 1} has no name')
    reserved = sorted({*REQUIRED_COLUMNS, 'keypoint', 'notes', 'allow_pickle'} & set(names) - {'label'})
    if reserved:
        raise DataError(f'labels {table}, line {first + 1}: column "{reserved[0]}" has a name that an archive uses '
                        f'itself; rename it, to my_{reserved[0]} for example')
    for name in names if 'label' not in names else ():
        if difflib.get_close_matches(name, ['label'], cutoff=.75):
            raise DataError(f'labels {table}, line {first + 1}: column "{name}": did you mean "label", which has the '
                            'classes? rename it, or give it a name that is less alike')
    rows = []
    for number, cells in enumerate(lines[first + 1:], first + 2):
        if not any(cell.strip() for cell in cells) or cells[0].startswith(_COMMENT):
            continue
        if len(cells) != len(names):
            raise DataError(f'{table}, line {number}: {len(cells)} cells, the header has {len(names)}')
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        for name, cell in row.items():
            if not cell.isprintable():
                raise DataError(f'{table}, line {number}: {ascii(cell[:_SHOWN])} holds signs that cannot be printed')
            if _is_split(name) and cell not in (*PARTS, ''):
                raise DataError(f'{table}, line {number}: column {name[:_SHOWN]!r} holds {cell[:_SHOWN]!r}, expected '
                                'train, test or nothing')
        rows.append((number, row))
    if not rows:
        raise DataError(f'labels {table} has no line below its header')
    return rows


def _is_split(column: str) -> bool:
    return column == _SPLIT or column.startswith(f'{_SPLIT}_')


def _typed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns of whole numbers as int, of numbers as float, of anything else as text."""
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if name != 'label' and not _is_split(name):
            for kind in (int, float):
                try:
                    converted = [kind(value) for value in values]
                except ValueError:
                    continue
                if kind is int and not all(str(number) == value and abs(number) < 2 ** 62
                                           for number, value in zip(converted, values, strict=True)):
                    # 007 and numbers of thirty digits are names
                    break
                if all(np.isfinite(converted)):
                    for row, value in zip(rows, converted, strict=True):
                        row[name] = value
                    break
    return rows


def split_maker(known: Labels, test_subjects: Sequence[str] | None = None, test_fraction: float | None = None,
                seed: int = 0) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Makes the splits of :class:`Recordings` from columns and options.

    Args:
        known: What is known of the recordings.
        test_subjects: Values of ``subject`` that are the test part of ``xsub``.
        test_fraction: Share of every class in the test part of ``random``.
        seed: Seed of the draw.

    Raises:
        ConfigError: The fraction is not between 0 and 1, or there is no such subject.
    """
    if test_subjects is not None:
        subjects = {str(columns['subject']) for columns in known.columns.values() if 'subject' in columns}
        if not subjects:
            raise ConfigError('--test-subjects needs a column "subject" in --labels')
        unknown = sorted({str(value) for value in test_subjects} - subjects)
        if unknown:
            raise ConfigError(f'--test-subjects: no recording of {", ".join(unknown)}; there are '
                              f'{", ".join(sorted(subjects, key=natural_key)[:20])}')
    if test_fraction is not None and not 0 < test_fraction < 1:
        raise ConfigError(f'--test-fraction {test_fraction}: expected a number between 0 and 1')
    return functools.partial(_make_splits, test_subjects=test_subjects, test_fraction=test_fraction, seed=seed)


def _make_splits(columns: dict[str, np.ndarray], test_subjects: Sequence[str] | None, test_fraction: float | None,
                 seed: int) -> dict[str, np.ndarray]:
    splits = {}
    for name in [name for name in columns if name == _SPLIT or name.startswith(f'{_SPLIT}_')]:
        # a column "split" without a name is that of the usual protocol
        splits[name.removeprefix(_SPLIT).removeprefix('_') or 'xsub'] = columns.pop(name)
    if test_subjects is not None:
        subjects = columns['subject'].astype(str)
        splits['xsub'] = np.where(np.isin(subjects, [str(value) for value in test_subjects]), 'test', 'train')
    if test_fraction is not None:
        rng = np.random.default_rng(derive_seed('split', seed))
        test = np.zeros(len(columns['label']), dtype=bool)
        for label in np.unique(columns['label']):
            members = rng.permutation(np.flatnonzero(columns['label'] == label))
            # every class trains, and tests where it has two
            test[members[:min(max(round(test_fraction * len(members)), 1), len(members) - 1)]] = True
        splits['random'] = np.where(test, 'test', 'train')
    return splits
