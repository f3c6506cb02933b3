"""NTU RGB+D 60 and 120 from the ``.skeleton`` files of the authors, in folders or zips."""
import argparse
import functools
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.ntu_classes import NTU60_CLASSES, NTU120_CLASSES
from mmactclr.datasets.ntu_protocols import (
    NTU60_ACTIONS,
    NTU60_SETUPS,
    NTU120_ACTIONS,
    NTU120_SETUPS,
    STANDARD_SIZES,
    SampleName,
    ntu_splits,
)
from mmactclr.datasets.splits import split_counts
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS

from .file_converter import Clip, FileConverter, Recordings
from .ntu_bodies import ORDERS, TRACKS, persons_of
from .ntu_skeleton import parse_skeleton
from .source_files import SourceFile, find_files

FPS = 30
LICENCE = 'academic research only, see the request form of the ROSE Lab, NTU Singapore'
_DATASETS = {'ntu60': (NTU60_SETUPS, NTU60_ACTIONS, NTU60_CLASSES),
             'ntu120': (NTU120_SETUPS, NTU120_ACTIONS, NTU120_CLASSES)}
EMPTY = 'frames without anybody cut out'
_LISTED = 'on the list of recordings with missing skeletons'
_OUTSIDE = 'not a recording of the chosen data set'


def read_skeleton(file: SourceFile, num_classes: int, drop_empty_frames: bool = False, **bodies: Any) -> list[Clip]:
    """The clip of one ``.skeleton`` file.

    Args:
        file: What to read.
        num_classes: Classes of the archive; 0 where the names of the files do not tell the action.
        drop_empty_frames: Cut out frames without anybody.
        **bodies: ``max_persons``, ``track``, ``order`` and ``denoise`` of :func:`persons_of`.

    Raises:
        DataError: The file is damaged; the message names the line.
    """
    seen = parse_skeleton(file.read(), file)
    persons, notes = persons_of(seen, **bodies)
    if drop_empty_frames:
        there = np.isin(np.arange(persons.shape[1]), seen.frame)
        if not there.all():
            persons, notes = persons[:, there], (*notes, EMPTY)
    notes = (*seen.notes, *notes)
    if not num_classes:
        return [Clip(persons, file.stem, notes=notes)]
    name = SampleName.parse(file.stem)
    if name is None:
        raise DataError(f'{file} has no name such as S001C001P001R001A001')
    columns = dict(setup=name.setup, camera=name.camera, subject=name.subject, replication=name.replication)
    return [Clip(persons, file.stem, name.action - 1, columns, notes)]


@CONVERTERS.register_module('ntu')
class NTUConverter(FileConverter):
    """NTU RGB+D 60 and 120, raw .skeleton files in folders or zips."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which recordings, and who of the bodies in them."""
        super().add_arguments(parser)
        parser.add_argument('--dataset', choices=['auto', *_DATASETS], default='auto',
                            help='auto: ntu120 where set-ups or actions beyond those of ntu60 are there')
        parser.add_argument('--missing', metavar='FILE', action='append', default=[],
                            help="list of samples with missing skeletons, as the data set's authors publish it, to "
                            'leave out; may be repeated')
        parser.add_argument('--max-persons', type=int, default=2, metavar='N')
        parser.add_argument('--track', choices=TRACKS, default='id',
                            help='a person is a tracking id (default), or a position in the frame as in ST-GCN, '
                            'CrosSCLR, AimCLR and ActCLR')
        parser.add_argument('--order', choices=ORDERS, default='appearance',
                            help='who comes first; energy as in 2s-AGCN, motion as in CTR-GCN')
        parser.add_argument('--denoise', action='store_true',
                            help='leave out bodies that are noise, by the rules of HCN and CTR-GCN')
        parser.add_argument('--drop-empty-frames', action='store_true', help='cut out frames without anybody')

    def find(self, src: Path, *, dataset: str = 'auto', missing: Sequence[str | Path] = (), max_persons: int = 2,
             track: str = 'id', order: str = 'appearance', denoise: bool = False,
             drop_empty_frames: bool = False) -> Recordings:
        """Looks for ``.skeleton`` files and at their names.

        Files of other names than NTU's make an archive without labels, if there are only such.

        Args:
            src: Folder, zip or file.
            dataset: ``ntu60``, ``ntu120`` or ``auto``.
            missing: Files that list samples to leave out.
            max_persons: Persons to keep.
            track: See :func:`persons_of`.
            order: See :func:`persons_of`.
            denoise: See :func:`persons_of`.
            drop_empty_frames: Cut out frames without anybody.

        Raises:
            DataError: There are no such files, or a list cannot be read.
            ConfigError: An option is not one of those above.
        """
        for name, value, allowed in (('track', track, TRACKS), ('order', order, ORDERS),
                                     ('dataset', dataset, ('auto', *_DATASETS))):
            if value not in allowed:
                raise ConfigError(f'{name} is {value!r}, expected one of {", ".join(allowed)}')
        if max_persons < 1:
            raise ConfigError(f'max_persons is {max_persons}, expected 1 or more')
        files = find_files(src, '*.skeleton')
        parsed = {file: SampleName.parse(file.stem) for file in files}
        bodies: dict[str, Any] = dict(max_persons=max_persons, track=track, order=order, denoise=denoise,
                                      drop_empty_frames=drop_empty_frames)
        if not any(parsed.values()):
            print_log(f'{src}: no file has a name such as S001C001P001R001A001: no labels, no splits',
                      logger='current', level=logging.WARNING)
            return Recordings(files, functools.partial(read_skeleton, num_classes=0, **bodies), 'ntu25',
                              about=dict(fps=FPS, source=str(src.name)))
        if dataset == 'auto':
            dataset = _recognise([name for name in parsed.values() if name])
        setups, actions, classes = _DATASETS[dataset]
        listed = {name for path in missing for name in _read_list(Path(path))}
        wanted, excluded = [], dict[str, list[str]]()
        for file, sample in parsed.items():
            if sample is None or sample.setup > setups or not 1 <= sample.action <= actions:
                excluded.setdefault(_OUTSIDE, []).append(file.stem)
            elif sample in listed:
                excluded.setdefault(_LISTED, []).append(file.stem)
            else:
                wanted.append(file)
        if not wanted:
            raise DataError(f'{src}: none of {len(files)} files is a recording of {dataset}: '
                            + '; '.join(f'{len(names)} {reason}' for reason, names in excluded.items()))
        return Recordings(
            wanted, functools.partial(read_skeleton, num_classes=actions, **bodies), 'ntu25', classes,
            functools.partial(_splits, dataset=dataset),
            dict(fps=FPS, source=f'NTU RGB+D {actions}', licence=LICENCE, extra=dict(dataset=dataset, **bodies)),
            excluded)


def _recognise(names: Sequence[SampleName]) -> str:
    beyond = any(name.setup > NTU60_SETUPS or name.action > NTU60_ACTIONS for name in names)
    return 'ntu120' if beyond else 'ntu60'


def _read_list(path: Path) -> set[SampleName]:
    """Sample names of a text file, whatever else its lines hold."""
    try:
        text = path.read_text(encoding='utf-8', errors='replace')
    except OSError as error:
        raise DataError(f'--missing {path} cannot be read ({error}): expected a text file of sample names') from error
    names = {name for word in re.split(r'[\s,;]+', text) if (name := SampleName.parse(word))}
    if not names:
        raise DataError(f'--missing {path} holds no sample name such as S001C002P005R002A008')
    return names


def _splits(columns: dict[str, np.ndarray], dataset: str) -> dict[str, np.ndarray]:
    splits = ntu_splits(dataset, columns)
    for name, split in splits.items():
        found, standard = tuple(split_counts(split).values()), STANDARD_SIZES[dataset, name]
        # a part of the data is somebody's choice; nearly all of it is a list that is missing
        if found != standard and abs(sum(found) - sum(standard)) < 0.02 * sum(standard):
            print_log(f'{dataset} {name} has {found[0]} train and {found[1]} test sequences, the standard one '
                      f"{standard[0]} and {standard[1]}: pass the authors' lists of samples with missing skeletons "
                      'with --missing, and look at what was left out', logger='current', level=logging.WARNING)
    return splits
