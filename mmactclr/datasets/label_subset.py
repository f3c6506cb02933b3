"""Which training sequences have labels: semi-supervised subsets as files, so that everybody means the same ones."""
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import derive_seed

FORMAT = 'mmactclr-label-subset'


def draw_label_subset(archive: SkeletonArchive, split: str, *, fraction: float | None = None,
                      per_class: int | None = None, seed: int = 0) -> np.ndarray:
    """Training sequences drawn class by class: round(fraction * n) of n, or ``per_class``; at least one.

    A larger subset of the same seed contains the smaller one.

    Args:
        archive: Where to draw from.
        split: Name of the split; its training part counts.
        fraction: Share of every class, above 0 up to 1.
        per_class: Number of every class; all of a class that has no more.
        seed: Seed of the draw.

    Returns:
        Positions in the archive, ascending.

    Raises:
        ConfigError: Not exactly one of the two is given, one is out of range, or the archive has no labels.
    """
    if (fraction is None) == (per_class is None):
        raise ConfigError(f'a label subset needs a fraction or a number per class, one of the two; given are fraction='
                          f'{fraction} and per_class={per_class}: set the other one to None')
    if fraction is not None and not 0 < fraction <= 1 or per_class is not None and not (
            isinstance(per_class, int) and per_class >= 1):
        raise ConfigError(f'fraction is {fraction} and per_class {per_class}, expected a share above 0 up to 1, or a '
                          'whole number from 1 up')
    if not archive.classes:
        raise ConfigError(f'{archive.path} has no labels to take a part of')
    training = archive.split(split, 'train')
    chosen = []
    for label in np.unique(archive.labels[training]):
        members = training[archive.labels[training] == label]
        rng = np.random.default_rng(derive_seed('labels', seed, int(label)))
        count = max(round(fraction * len(members)), 1) if fraction is not None else per_class
        chosen.append(rng.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def write_label_subset(path: str | Path, archive: SkeletonArchive, positions: np.ndarray, **how: Any) -> Path:
    """Writes names of sequences with what they were drawn from, aside first, then renamed.

    Args:
        path: JSON file to write.
        archive: Where the sequences are.
        positions: Which.
        **how: What else to note: split, fraction, per_class, seed.
    """
    path = Path(path)
    positions_by_name(archive)
    names = archive.column('name')[positions].tolist()
    content = dict(format=FORMAT, archive=archive.checksum, **how, sequences=len(names), names=names)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.name}.partial-{os.getpid()}')
    aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
    os.replace(aside, path)
    return path


def positions_by_name(archive: SkeletonArchive) -> dict[str, int]:
    """Position of every sequence by its name.

    Raises:
        DataError: Two sequences have one name.
    """
    names = archive.column('name').tolist()
    place = {str(name): i for i, name in enumerate(names)}
    if len(place) < len(names):
        twice = next(name for i, name in enumerate(names) if place[str(name)] != i)
        raise DataError(f'{archive.path}: the name {str(twice)[:80]!r} stands for several sequences, which a list of '
                        'names cannot tell apart; convert the data with different names')
    return place


def read_label_subset(path: str | Path, archive: SkeletonArchive) -> np.ndarray:
    """Positions of the sequences that a file names, ascending.

    Raises:
        DataError: The file is missing, damaged or of another kind, or names sequences that the archive has not.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f'label subset {path} cannot be read ({type(error).__name__}: {error}); make one with '
                        'tools/dataset_converters/archive.py label-subset') from error
    names = content.get('names') if isinstance(content, dict) and content.get('format') == FORMAT else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f'{path} is no label subset: expected "format": "{FORMAT}" and a list "names"; make one with '
                        'tools/dataset_converters/archive.py label-subset')
    if content.get('archive') != archive.checksum:
        print_log(f'label subset {path} was made for an archive of other content than {archive.path}; sequences are '
                  'found by their names, so make sure that the same names stand for the same recordings',
                  logger='current', level=logging.WARNING)
    place = positions_by_name(archive)
    unknown = [name for name in names if name not in place]
    if unknown:
        raise DataError(f'label subset {path}: {len(unknown)} of {len(names)} sequences are not in {archive.path}, the '
                        f'first {unknown[0][:80]!r}; it was made for another archive')
    return np.array(sorted({place[name] for name in names}))
