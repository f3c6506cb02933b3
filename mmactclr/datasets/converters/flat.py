"""Flat npz: all frames of all sequences in one array, for any joints and edges.

Fields of the file (no pickles): ``keypoint`` (frames of all sequences, M, V, C), ``offsets``
(N + 1,) so that sequence i is ``keypoint[offsets[i]:offsets[i + 1]]``, and optionally ``label``
(N,), ``class_names``, ``name`` (N,), ``joint_names`` (V,), ``edges`` (E, 2), ``fps``, ``units``,
``split_*`` (N,) of 'train'/'test', ``duplicate_of`` (N,) and any other column of N values
(``subject``, ``camera``, ``trial``, ...). An array ``<column>_names`` says what a column's numbers
stand for and is kept in the metadata.
"""
import argparse
import logging
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_format import DAMAGE
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.splits import as_copies, as_split, without_copies
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import Layout, get_layout, list_layouts

from .base import BaseConverter
from .units import UNKNOWN, ask_for_unit

UNIT = re.compile(r'\b(?:(centi|milli)?met(?:re|er)s?|([cm])?m)\b', re.IGNORECASE)
METRES = {'': 1., 'c': .01, 'm': .001}
NOT_COLUMNS = {'keypoint', 'offsets', 'label', 'name', 'class_names', 'joint_names', 'edges', 'fps',
               'units', 'source', 'licence', 'duplicate_of'}


@CONVERTERS.register_module('flat')
class FlatConverter(BaseConverter):
    """One npz with all frames of all sequences, any joints and edges."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options for what the file does not say."""
        pair: dict[str, Any] = dict(nargs=2, metavar=('LEFT', 'RIGHT'), help='where the joint names do not tell')
        parser.add_argument('--layout', metavar='NAME', help='use this registered layout '
                            f'instead of recognising it: {", ".join(list_layouts())}')
        parser.add_argument('--centre', metavar='JOINT', help='joint between the shoulders, '
                            'where the joint names do not tell')
        parser.add_argument('--shoulders', **pair)
        parser.add_argument('--hips', **pair)
        parser.add_argument('--flip-pairs', nargs='+', metavar='LEFT,RIGHT',
                            help='joints that change places in a mirror')
        parser.add_argument('--metres-per-unit', type=float, metavar='X',
                            help='where the units text of the file does not tell')
        parser.add_argument('--where', action='append', default=[], metavar='COLUMN=VALUE',
                            help='keep only these sequences; may be repeated (all must hold)')

    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False,
                strict: bool = False, layout: str | None = None, centre: str | None = None,
                shoulders: Sequence[str] | None = None, hips: Sequence[str] | None = None,
                flip_pairs: Sequence[str] | None = None, metres_per_unit: float | None = None,
                where: Sequence[str] = ()) -> SkeletonArchive:
        """Converts one file.

        A ``duplicate_of`` column (position of the sequence that this one is a copy of, -1 for none)
        gives every split a sibling ``<split>_clean`` that does not test on copies of training
        sequences; in the archive it holds the name of the original.

        Raises:
            DataError: The file is missing, damaged or contradicts itself.
            ConfigError: The layout cannot be told from the file and the options, or ``where`` does
                not fit the columns.
        """
        src = Path(src)
        fields = read_npz(src)
        lengths, columns = _check_fields(src, fields)
        num = len(lengths)
        names = columns.pop('name')
        labels = columns.pop('label')
        splits = {key.removeprefix('split_'): as_split(columns.pop(key), num, key)
                  for key in list(columns) if key.startswith('split_')}
        if 'duplicate_of' in fields:
            copied = as_copies(fields['duplicate_of'], num)
            splits.update({f'{name}_clean': without_copies(split, copied)
                           for name, split in list(splits.items())})
            columns['duplicate_of'] = np.where(copied >= 0, names[copied], '')
        wanted = _select({**columns, 'label': labels, 'name': names}, where, src)
        given = dict(centre=centre, shoulders=shoulders, hips=hips, flip_pairs=None
                     if flip_pairs is None else [pair.split(',') for pair in flip_pairs])
        found = find_layout(src, fields, layout, given)
        scale, unit = _unit(src, fields, metres_per_unit)
        classes = _class_names(src, fields, labels)
        extra = {'unit_text': str(fields.get('units', '')), 'names': {
            key.removesuffix('_names'): values.tolist() for key, values in fields.items()
            if key.endswith('_names') and key not in NOT_COLUMNS and values.ndim == 1}}
        about: dict[str, Any] = {key: str(fields.get(key, '')) for key in ('source', 'licence')}
        about['source'] = about['source'] or src.name
        starts = np.asarray(fields['offsets'])
        about.update(classes=classes, fps=_fps(src, fields), unit=unit, extra=extra)
        with ArchiveWriter(dst, found, overwrite=overwrite, strict=strict, **about) as writer:
            for i in self.track(wanted.tolist(), f'converting {src.name}'):
                keypoint = fields['keypoint'][starts[i]:starts[i + 1]].transpose(1, 0, 2, 3)
                keypoint = without_absent(keypoint) * np.float32(scale)
                writer.add(keypoint, label=labels[i], name=names[i],
                           **{key: values[i] for key, values in columns.items()})
            return writer.finish({name: split[wanted] for name, split in splits.items()})


def read_npz(src: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an npz.

    Raises:
        DataError: It is missing, cut short, holds pickles or is no npz.
    """
    if not src.is_file():
        raise DataError(f'{src} does not exist: expected a flat npz file')
    if not zipfile.is_zipfile(src):
        # numpy would take it for a pickle and advise to trust it
        raise DataError(f'{src} cannot be read as npz: it is cut short, damaged or of another format')
    try:
        with np.load(src, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except DAMAGE as error:
        raise DataError(
            f'{src} cannot be read as npz without pickles ({type(error).__name__}: {error}): the '
            'file is cut short, damaged or of another format') from error


def without_absent(keypoint: np.ndarray) -> np.ndarray:
    """Drops persons after the last one that is there; (M, T, V, C), keeps at least one."""
    present = np.flatnonzero(keypoint.any(axis=(1, 2, 3)))
    return keypoint[:max(present[-1], 0) + 1] if len(present) else keypoint[:1]


def _check_fields(src: Path, fields: Mapping[str, np.ndarray],
                  ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Lengths of the sequences and all columns of one value per sequence."""
    missing = [key for key in ('keypoint', 'offsets') if key not in fields]
    if missing:
        raise DataError(f'{src} has no field {missing}; it has {sorted(fields)}')
    keypoint, offsets = fields['keypoint'], fields['offsets']
    if keypoint.ndim != 4 or keypoint.dtype.kind != 'f':
        raise DataError(f'{src}: keypoint is {keypoint.dtype} {keypoint.shape}, expected floats '
                        '(frames of all sequences, persons, joints, 2 or 3)')
    lengths = np.diff(offsets) if offsets.ndim == 1 and len(offsets) > 1 else np.array([-1])
    if (offsets.dtype.kind not in 'iu' or lengths.min() < 0 or offsets[0] != 0
            or offsets[-1] != len(keypoint)):
        raise DataError(
            f'{src}: offsets must be integers that rise from 0 to the {len(keypoint)} frames of '
            f'keypoint; found {offsets.dtype} {offsets.shape}, {offsets.reshape(-1)[:1].tolist()} '
            f'to {offsets.reshape(-1)[-1:].tolist()}')
    num = len(lengths)
    columns = {}
    for key in ('label', 'name', *(k for k in fields if k.startswith('split_'))):
        if key in fields and fields[key].shape != (num,):
            raise DataError(f'{src}: {key} has shape {fields[key].shape}, expected ({num},), one '
                            'value per sequence')
    for key, values in fields.items():
        if values.shape == (num,) and (key not in NOT_COLUMNS or key in ('label', 'name')):
            if not key.endswith('_names'):
                columns[key] = values
    if columns.setdefault('label', np.full(num, -1)).dtype.kind not in 'iu':
        raise DataError(f'{src}: label is {columns["label"].dtype}, expected integers that count '
                        'from 0 through class_names')
    columns.setdefault('name', np.array([f'sequence_{i:06d}' for i in range(num)]))
    return lengths, columns


def _fps(src: Path, fields: Mapping[str, np.ndarray]) -> float | None:
    fps = fields.get('fps')
    if fps is None:
        return None
    if fps.size != 1 or fps.dtype.kind not in 'iuf' or not fps.item() > 0:
        raise DataError(f'{src}: fps is {fps.tolist()!r}, expected one positive number')
    return float(fps.item())


def _class_names(src: Path, fields: Mapping[str, np.ndarray], labels: np.ndarray) -> list[str]:
    if 'class_names' in fields:
        return [str(name) for name in fields['class_names'].reshape(-1)]
    if 'label' not in fields:
        return []
    print_log(f'{src.name} has no class_names: classes are named by their number',
              logger='current', level=logging.WARNING)
    return [f'class_{k}' for k in range(int(labels.max()) + 1)]


def _select(columns: Mapping[str, np.ndarray], where: Sequence[str], src: Path) -> np.ndarray:
    """Positions of the sequences for which every ``COLUMN=VALUE`` holds."""
    keep = np.ones(len(columns['name']), dtype=bool)
    for condition in where:
        key, equals, value = condition.partition('=')
        if not equals or key not in columns:
            raise ConfigError(f'--where {condition!r}: expected COLUMN=VALUE with a column of '
                              f'{src}: {", ".join(sorted(columns))}')
        values = columns[key]
        try:
            # A number, so that 1, 1.0 and True (stored as 1) all fit a numeric column.
            matches = values == (value if values.dtype.kind == 'U' else float(value))
        except ValueError:
            raise ConfigError(f'--where {condition!r}: column {key!r} holds numbers') from None
        if not matches.any():
            known = np.unique(values)[:10].tolist()
            raise ConfigError(f'--where {condition!r}: no sequence of {src} has it; {key!r} holds '
                              f'{known}')
        keep &= matches
    if not keep.any():
        raise ConfigError(f'--where {" --where ".join(where)}: no sequence of {src} fits all')
    return np.flatnonzero(keep)


def _plain(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())


def find_layout(src: Path, fields: Mapping[str, np.ndarray], forced: str | None,
                given: Mapping[str, Any]) -> Layout:
    """The layout of a flat npz: the one asked for, a built-in one it equals, or one of its own.

    Args:
        src: The file; its stem names a layout of its own.
        fields: Arrays of the file.
        forced: Name of a registered layout, or None to recognise it.
        given: Arguments for :meth:`Layout.from_edges` that the user gave; None where not given.

    Raises:
        DataError: The forced layout has another number of joints than the data, or the file has
            neither joint names nor edges.
        ConfigError: Something can neither be derived from joint names nor was given.
    """
    num_joints = fields['keypoint'].shape[2]
    given = {key: value for key, value in given.items() if value is not None}
    if forced is not None and given:
        raise ConfigError(f'--layout {forced} already says what {sorted(given)} are: leave one out')
    if forced is not None:
        layout = get_layout(forced)
        if layout.num_joints != num_joints:
            raise DataError(f'--layout {layout.name} has {layout.num_joints} joints, the keypoint '
                            f'of {src} has {num_joints}: choose another layout')
        return layout
    if 'joint_names' not in fields or 'edges' not in fields:
        raise DataError(f'{src} has no joint_names or no edges: pass --layout, one of '
                        f'{", ".join(list_layouts())}')
    joints = [str(name) for name in fields['joint_names'].reshape(-1)]
    edges = fields['edges']
    if len(joints) != num_joints or edges.ndim != 2 or edges.shape[1] != 2:
        raise DataError(f'{src}: {len(joints)} joint_names and edges of shape {edges.shape}, '
                        f'expected {num_joints} names, as keypoint has, and (E, 2) edges')
    if not given:
        undirected = {frozenset(edge) for edge in edges.tolist()}
        for layout in map(get_layout, list_layouts()):
            if ([_plain(name) for name in layout.joints] == [_plain(name) for name in joints]
                    and {frozenset(bone) for bone in layout.bones} == undirected):
                return layout
    return Layout.from_edges(src.stem, joints, edges.tolist(), **given)


def _unit(src: Path, fields: Mapping[str, np.ndarray], metres_per_unit: float | None,
          ) -> tuple[float, str]:
    """Factor to metres and the name of the unit after it."""
    text = str(fields.get('units', ''))
    if metres_per_unit is not None:
        if not metres_per_unit > 0:
            raise ConfigError(f'--metres-per-unit {metres_per_unit}: expected a positive number')
        return metres_per_unit, 'm'
    if match := UNIT.search(text):
        prefix = match.group(1) or match.group(2) or ''
        return METRES[prefix[:1].lower()], 'm'
    ask_for_unit(f'{src.name}: cannot tell the unit from {text!r}', '--metres-per-unit')
    return 1., UNKNOWN
