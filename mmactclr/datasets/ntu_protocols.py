"""Sample names and standard splits of NTU RGB+D 60 (CVPR 2016) and 120 (TPAMI 2020)."""
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mmactclr.errors import DataError

_NAME = re.compile(r'S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})')

#: Actions and set-ups of NTU RGB+D 60; 120 has all of it and goes on.
NTU60_ACTIONS, NTU60_SETUPS = 60, 17
NTU120_ACTIONS, NTU120_SETUPS = 120, 32

_TRAIN_SUBJECTS_60 = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
_TRAIN_SUBJECTS_120 = (*_TRAIN_SUBJECTS_60, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82,
                       83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103)
_TRAIN_CAMERAS = (2, 3)

#: Sequences of (train, test) where all recordings with a skeleton are there.
STANDARD_SIZES = {('ntu60', 'xsub'): (40091, 16487), ('ntu60', 'xview'): (37646, 18932),
                  ('ntu120', 'xsub'): (63026, 50919), ('ntu120', 'xset'): (54468, 59477)}


class SampleName(NamedTuple):
    """What the name of a recording says; all numbers count from 1."""

    setup: int
    camera: int
    subject: int
    replication: int
    action: int

    @classmethod
    def parse(cls, name: str) -> 'SampleName | None':
        """Reads ``S001C002P003R002A013``, with or without more before and behind; None for another name."""
        match = _NAME.search(name)
        return cls(*map(int, match.groups())) if match else None


def _halves(train: np.ndarray) -> np.ndarray:
    return np.where(train, 'train', 'test')


#: Splits of a data set, each from the columns ``subject``, ``camera`` and ``setup``.
PROTOCOLS: dict[str, dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]]] = {
    'ntu60': {'xsub': lambda columns: _halves(np.isin(columns['subject'], _TRAIN_SUBJECTS_60)),
              'xview': lambda columns: _halves(np.isin(columns['camera'], _TRAIN_CAMERAS))},
    'ntu120': {'xsub': lambda columns: _halves(np.isin(columns['subject'], _TRAIN_SUBJECTS_120)),
               'xset': lambda columns: _halves(np.asarray(columns['setup']) % 2 == 0)},
}


def ntu_splits(dataset: str, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Standard splits, ``train`` or ``test`` per recording.

    Args:
        dataset: ``ntu60`` (xsub, xview) or ``ntu120`` (xsub, xset).
        columns: ``subject``, ``camera`` and ``setup`` of every recording, each (N,).

    Raises:
        DataError: There is no such data set.
    """
    if dataset not in PROTOCOLS:
        raise DataError(f'data set {dataset!r}: expected one of {", ".join(PROTOCOLS)}')
    return {name: make(columns) for name, make in PROTOCOLS[dataset].items()}
