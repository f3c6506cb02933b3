"""Splits are one word per sequence: ``train``, ``test`` or nothing (the sequence is in neither)."""
from collections.abc import Mapping, Sequence

import numpy as np
from mmengine.logging import print_log

from mmactclr.errors import DataError

PARTS = ('train', 'test')


def as_split(values: Sequence[str] | np.ndarray, num_sequences: int, name: str) -> np.ndarray:
    """Checks a split and brings it to ``<U5``.

    Args:
        values: (N,) words ``train``, ``test`` or empty, one per sequence.
        num_sequences: N.
        name: Name of the split, for the message.

    Returns:
        (N,) array of ``<U5``.

    Raises:
        DataError: The length is not N, or a word is none of the three.
    """
    words = np.asarray(values)
    if words.shape != (num_sequences,):
        raise DataError(
            f'split {name!r} has shape {words.shape}, expected ({num_sequences},): one word '
            "('train', 'test' or '') per sequence")
    unknown = sorted(set(words.astype(str).tolist()) - {*PARTS, ''})
    if unknown:
        raise DataError(
            f"split {name!r} holds {unknown[:5]}, expected only 'train', 'test' or '' (in neither)")
    return words.astype('<U5')


def split_counts(split: np.ndarray) -> dict[str, int]:
    """Number of sequences in each part of a split, ``{'train': n, 'test': n}``."""
    return {part: int((split == part).sum()) for part in PARTS}


def usable_splits(splits: Mapping[str, Sequence[str] | np.ndarray]) -> dict[str, np.ndarray]:
    """Splits that have something to train on and something to test on; the log says which have not."""
    usable = {}
    for name, words in splits.items():
        counts = split_counts(np.asarray(words))
        if all(counts.values()):
            usable[name] = np.asarray(words)
        else:
            print_log(f'no split {name!r}: it would have {counts["train"]} train and {counts["test"]} test sequences',
                      logger='current')
    return usable


def as_copies(duplicate_of: np.ndarray, num_sequences: int) -> np.ndarray:
    """Checks positions of originals: (N,) integers, -1 for a sequence that is no copy.

    Raises:
        DataError: It is not that, or a position does not exist.
    """
    positions = np.asarray(duplicate_of)
    if positions.shape != (num_sequences,) or positions.dtype.kind not in 'iu':
        raise DataError(
            f'duplicate_of is {positions.dtype} {positions.shape}, expected ({num_sequences},) '
            'integers: the position of the original, -1 for none')
    if num_sequences and not (-1 <= positions.min() and positions.max() < num_sequences):
        raise DataError(
            f'duplicate_of holds {positions.min()} to {positions.max()}, expected -1 (no copy) to '
            f'{num_sequences - 1}')
    return positions


def without_copies(split: np.ndarray, duplicate_of: np.ndarray) -> np.ndarray:
    """The same split without test sequences that are copies of training sequences.

    The public release of Northwestern-UCLA has 95 such files: of its 464 test sequences in
    cross-view, 369 are clean.

    Args:
        split: (N,) words ``train``, ``test`` or empty.
        duplicate_of: (N,) position of the sequence that this one is a copy of, -1 for none.

    Returns:
        (N,) a new split; the copies left out are in neither part.

    Raises:
        DataError: A position in ``duplicate_of`` does not exist.
    """
    duplicate_of = as_copies(duplicate_of, len(split))
    pairs = np.flatnonzero(duplicate_of >= 0)
    originals = duplicate_of[pairs]
    clean = split.copy()
    # Which of the two is called the original is arbitrary: leave out whichever is the test one.
    crossing = split[pairs] != split[originals]
    for side, other in ((pairs, originals), (originals, pairs)):
        copied = crossing & (split[side] == 'test') & (split[other] == 'train')
        clean[side[copied]] = ''
    return clean
