"""Padded arrays of the CrosSCLR, AimCLR, ActCLR and ST-GCN code: ``(N, C, T, V, M)`` and names with labels beside them.

A folder holds ``train_data_joint.npy`` and ``val_data_joint.npy`` (or ``train_position.npy`` and ``val_position.npy``,
cut to 50 frames) with ``train_label.pkl`` and ``val_label.pkl``: pickled ``(names, labels)``, or ``.npy`` of labels.
"""
import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_format import DAMAGE
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import Layout
from mmactclr.utils.safe_pickle import read_pickle

from .annotations import annotation_label, shown
from .base import BaseConverter
from .conventions import add_layout_and_classes, as_float32, choose_layout, class_names, usual_unit

# what was recorded before what was prepared from it
_DATA = ('{}_data_joint.npy', '{}_data.npy', '{}_position.npy')
_LABELS = ('{}_label.pkl', '{}_label.npy')
_PARTS = {'train': 'train', 'val': 'test'}
# The names are often those of the files that the arrays were made from.
_SUFFIX = '.skeleton'


@dataclass(frozen=True)
class _Part:
    """One array with its names and labels.

    Attributes:
        file: Where the coordinates lie.
        split: Name of the split.
        word: ``train`` or ``test``.
        data: (N, C, T, V, M), memory-mapped.
        names: N names, None where only labels are there.
        labels: N labels.
    """

    file: Path
    split: str
    word: str
    data: np.ndarray
    names: list[str] | None
    labels: list[int]

    def sequence(self, i: int) -> np.ndarray:
        """(M, T, V, C) without the zeros at the end that pad frames and persons."""
        padded = np.asarray(self.data[i])
        frames = np.flatnonzero(padded.any(axis=(0, 2, 3)))
        persons = np.flatnonzero(padded.any(axis=(0, 1, 2)))
        if len(frames):
            padded = padded[:, :frames[-1] + 1, :, :persons[-1] + 1]
        return as_float32(padded.transpose(3, 1, 2, 0))


@CONVERTERS.register_module('crosclr')
class CrosCLRConverter(BaseConverter):
    """Padded arrays (N, C, T, V, M) of CrosSCLR, AimCLR, ActCLR and ST-GCN, one folder or one for every split."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options for what the files do not say."""
        add_layout_and_classes(parser)
        parser.add_argument('--split', metavar='NAME', help='name of the split of a single folder; default: that of '
                            'the folder')

    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False, strict: bool = False,
                layout: str | None = None, classes: str | Path | None = None, split: str | None = None,
                ) -> SkeletonArchive:
        """Converts a folder of one split, or a folder of such folders that hold the same sequences.

        Raises:
            DataError: A file is missing, damaged, or contradicts another.
            ConfigError: The options do not fit.
        """
        src = Path(src)
        folders = _folders(src)
        if split is not None and len(folders) > 1:
            raise ConfigError(f'--split {split}: {src} holds {len(folders)} splits, named by their folders: '
                              'leave it out')
        parts = [part for folder in folders for part in _parts(folder, split or folder.resolve().name)]
        if len(folders) > 1 and (bare := [part.file for part in parts if part.names is None]):
            raise ConfigError(f'{bare[0]} has labels without names, so sequences of several splits cannot be told from '
                              'one another: convert one folder at a time')
        found = _layout(parts, layout)
        labels = [label for part in parts for label in part.labels]
        about: dict[str, Any] = dict(
            source=src.resolve().name, unit=usual_unit(found, parts[0].data.shape[1]),
            classes=class_names(src, labels, classes, found))
        with ArchiveWriter(dst, found, overwrite=overwrite, strict=strict, **about) as writer:
            return writer.finish(self._write(writer, parts))

    def _write(self, writer: ArchiveWriter, parts: list[_Part]) -> dict[str, list[str]]:
        """Adds every sequence once; returns the splits that have two parts."""
        known: dict[str, tuple[int, bytes]] = {}
        words: dict[str, dict[int, str]] = {}
        for part in parts:
            split = words.setdefault(part.split, {})
            for i in self.track(range(len(part.labels)), f'converting {part.split}/{part.file.name}'):
                name = part.names[i] if part.names is not None else f'{part.word}_{i:06d}'
                keypoint = part.sequence(i)
                digest = hashlib.sha256(repr((part.labels[i], keypoint.shape)).encode() + keypoint.tobytes()).digest()
                if name not in known:
                    known[name] = len(known), digest
                    writer.add(keypoint, label=part.labels[i], name=name)
                place, other = known[name]
                if place in split:
                    raise DataError(f'{part.file}: two sequences of {part.split!r} are called {name!r}: names must '
                                    'differ')
                if other != digest:
                    raise DataError(f'{part.file}: sequence {i} ({name!r}) is not the one of that name in another '
                                    'split: convert one folder at a time')
                split[place] = part.word
        return {split: [places.get(k, '') for k in range(len(known))] for split, places in words.items()
                if len(set(places.values())) == len(_PARTS)}


def _folders(src: Path) -> list[Path]:
    if not src.is_dir():
        raise DataError(f'{src} is no folder: expected one with {_DATA[0].format("train")} and '
                        f'{_LABELS[0].format("train")}, or one with such folders')
    candidates = [src, *sorted(path for path in src.iterdir() if path.is_dir())]
    folders = [folder for folder in candidates if any(_first(folder, _DATA, word) for word in _PARTS)]
    if not folders:
        wanted = ', '.join(name.format('train') for name in _DATA)
        raise DataError(f'{src} and the folders in it hold none of {wanted}: expected the folder of a split')
    return folders[:1] if folders[0] == src else folders


def _first(folder: Path, patterns: tuple[str, ...], word: str) -> Path | None:
    return next((path for path in (folder / name.format(word) for name in patterns) if path.is_file()), None)


def _parts(folder: Path, split: str) -> Iterator[_Part]:
    for word, part in _PARTS.items():
        file = _first(folder, _DATA, word)
        if file is None:
            continue
        beside = _first(folder, _LABELS, word)
        if beside is None:
            raise DataError(f'{file} has no {" or ".join(name.format(word) for name in _LABELS)} beside it')
        data, (names, labels) = _array(file), _read_labels(beside)
        if data.ndim != 5 or data.dtype.kind != 'f' or data.shape[1] not in (2, 3) or not data.size:
            raise DataError(f'{file} is {shown(data)}, expected floats (sequences, 2 or 3 coordinates, frames, joints, '
                            'persons)')
        if len(labels) != len(data):
            raise DataError(f'{beside} has {len(labels)} labels, {file.name} has {len(data)} sequences')
        yield _Part(file, split, part, data, names, labels)


def _array(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode='r', allow_pickle=False)
    except DAMAGE as error:
        reason = ' '.join(str(error).split())[:100]
        raise DataError(f'{file} cannot be read as npy without pickles ({type(error).__name__}: {reason!a}): the file '
                        'is cut short, damaged or of another format') from error


def _read_labels(file: Path) -> tuple[list[str] | None, list[int]]:
    names: Any
    labels: Any
    if file.suffix == '.npy':
        names, labels = None, _array(file)
    else:
        content = read_pickle(file)
        if not isinstance(content, (tuple, list)) or len(content) != 2:
            raise DataError(f'{file} holds {shown(content)}, expected a pair (names, labels)')
        names, labels = (each.tolist() if isinstance(each, np.ndarray) else each for each in content)
        if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) and n.isprintable() for n in names):
            raise DataError(f'{file}: names are {shown(names)}, expected a list of texts')
    if isinstance(labels, np.ndarray) and labels.shape in ((labels.size,), (labels.size, 1)):
        labels = list(labels.reshape(-1))
    if not isinstance(labels, (list, tuple)):
        raise DataError(f'{file}: labels are {shown(labels)}, expected a list of class numbers')
    if names is not None and len(names) != len(labels):
        raise DataError(f'{file} has {len(names)} names and {len(labels)} labels, expected as many')
    labels = [annotation_label(dict(label=label), f'{file}: sequence {i}') for i, label in enumerate(labels)]
    return None if names is None else [str(name).removesuffix(_SUFFIX) for name in names], labels


def _layout(parts: list[_Part], asked: str | None) -> Layout:
    first = parts[0]
    joints, axes = first.data.shape[3], first.data.shape[1]
    for part in parts:
        if (part.data.shape[3], part.data.shape[1]) != (joints, axes):
            raise DataError(f'{part.file} is {shown(part.data)}, {first.file} is {shown(first.data)}: joints and '
                            'coordinates must be the same')
    return choose_layout(first.file, joints, axes, asked)
