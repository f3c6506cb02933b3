"""Checks of one annotation of a pyskl pickle and of the lists that make its splits."""
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmactclr.errors import DataError

# Fields of an annotation that the archive has a place of its own for, or none at all.
_NOT_COLUMNS = {'frame_dir', 'filename', 'label', 'total_frames', 'keypoint', 'keypoint_score', 'offset', 'frames',
                'persons', 'name'}
#: More than any data set has; a label beyond is damage.
MOST_CLASSES = 100_000
# xsub_train, train, train1 (the first of several splits)
_PART = re.compile(r'(?:(.+)_)?(train|val|test)(\d*)')
#: Name of a split whose parts are called train and val, without a name of its own.
UNNAMED = 'official'


def annotation_name(annotation: Mapping[str, Any], where: str) -> str:
    """What the splits call an annotation: its ``frame_dir``, or else its ``filename``.

    Raises:
        DataError: It has neither, or it is no text.
    """
    name = annotation.get('frame_dir', annotation.get('filename'))
    if not isinstance(name, str) or not name or not name.isprintable():
        raise DataError(f'{where}: frame_dir is {shown(name)}, expected the name of the sequence')
    return str(name)


def annotation_label(annotation: Mapping[str, Any], where: str) -> int:
    """Class of an annotation, -1 where it has none.

    Raises:
        DataError: It is no whole number; several labels for one sequence are none either.
    """
    label = annotation.get('label', -1)
    if isinstance(label, np.ndarray) and label.size == 1:
        label = label.reshape(-1)[0]
    if not isinstance(label, (int, np.integer)) or isinstance(label, bool) or not -1 <= label < MOST_CLASSES:
        raise DataError(f'{where}: label is {shown(label)}, expected one class number from 0 to '
                        f'{MOST_CLASSES - 1}')
    return int(label)


def annotation_keypoint(annotation: Mapping[str, Any], where: str) -> np.ndarray:
    """Coordinates of an annotation as they are, (M, T, V, 2 or 3).

    Raises:
        DataError: There are none, or they contradict ``total_frames`` or ``keypoint_score``.
    """
    keypoint = annotation.get('keypoint')
    if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind != 'f' or keypoint.ndim != 4 or (
            keypoint.shape[3] not in (2, 3)):
        raise DataError(f'{where}: keypoint is {shown(keypoint)}, expected floats (persons, frames, joints, 2 or 3)')
    frames = annotation.get('total_frames', keypoint.shape[1])
    if not isinstance(frames, (int, np.integer)) or frames != keypoint.shape[1]:
        raise DataError(f'{where}: total_frames is {shown(frames)}, keypoint has {keypoint.shape[1]} frames: one of '
                        'them is wrong')
    score = annotation.get('keypoint_score')
    if score is not None and (not isinstance(score, np.ndarray) or score.shape != keypoint.shape[:3]):
        raise DataError(f'{where}: keypoint_score is {shown(score)}, expected {keypoint.shape[:3]}, one value for '
                        'every joint of keypoint')
    return keypoint


def annotation_columns(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, flags and texts of an annotation; ``img_shape`` and its like become two numbers each."""
    columns: dict[str, Any] = {}
    for key, value in annotation.items():
        if not isinstance(key, str) or key in _NOT_COLUMNS or key.startswith('split_'):
            continue
        if key.endswith('_shape') and isinstance(value, (tuple, list)) and len(value) == 2:
            columns.update({f'{key}_{axis}': side for axis, side in zip('hw', value, strict=True)})
        else:
            columns[key] = value
    return {key: value for key, value in columns.items() if _is_column(value)}


def _is_column(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, (bool, float, np.bool_, np.integer, np.floating)) or (
        isinstance(value, int) and abs(value) < 2 ** 63)


def splits_of(lists: Mapping[str, Sequence[str]], names: Sequence[str], where: str,
              ) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Splits from the lists of names of their parts.

    ``X_train`` with ``X_test`` or ``X_val`` becomes ``X``; where both exist, the second is ``X_val``.

    Args:
        lists: ``{'xsub_train': [...], 'xsub_val': [...]}``.
        names: Names of all N annotations.
        where: The file, for messages.

    Returns:
        Name to (N,) words, and names that a list has and no annotation, by list.

    Raises:
        DataError: A list is none of names, or a sequence is in both parts of a split.
    """
    parts: dict[str, dict[str, set[str]]] = {}
    known, unknown = set(names), {}
    for key, members in lists.items():
        match = _PART.fullmatch(key) if isinstance(key, str) else None
        if match is None:
            raise DataError(f'{where}: split has a list {shown(key)}, expected NAME_train, NAME_val or NAME_test')
        if isinstance(members, np.ndarray):
            members = members.tolist()
        if not isinstance(members, (list, tuple, set, frozenset)) or not all(isinstance(m, str) for m in members):
            raise DataError(f'{where}: split {key!r} is {shown(members)}, expected a list of names')
        name = '_'.join(filter(None, [match[1], match[3] and f'split{match[3]}'])) or UNNAMED
        parts.setdefault(name, {})[match[2]] = set(members)
        if missing := sorted(set(members) - known):
            unknown[key] = missing
    splits = {}
    for name, lists_of in parts.items():
        for part in ('test', 'val'):
            if 'train' in lists_of and part in lists_of:
                title = name if part == 'test' or 'test' not in lists_of else f'{name}_val'
                splits[title] = _words(lists_of['train'], lists_of[part], names, f'{where}: split {title!r}')
    return splits, unknown


def _words(train: set[str], test: set[str], names: Sequence[str], where: str) -> np.ndarray:
    if both := sorted(train & test):
        raise DataError(f'{where}: {len(both)} sequences are in both parts, such as {shown(both[0])}')
    return np.array(['train' if name in train else 'test' if name in test else '' for name in names], dtype='<U5')


def shown(value: Any) -> str:
    """A value of any kind in a few printable characters."""
    if isinstance(value, np.ndarray):
        return f'{value.dtype} {value.shape}'
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f'a {type(value).__name__} of {len(value)}'
    if isinstance(value, int) and abs(value) >= 2 ** 63:
        return 'a number beyond 64 bits'
    return ascii(value)[:60]
