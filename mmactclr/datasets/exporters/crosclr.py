"""Folders of padded arrays that the code of CrosSCLR, AimCLR, ActCLR and ST-GCN reads."""
import argparse
import pickle
from pathlib import Path

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.converters.base import BaseConverter
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import EXPORTERS

from .base import BaseExporter, unique_names

# Read by every Python 3 and, so that old code can, by Python 2.
_PROTOCOL = 2
_PARTS = {'train': 'train', 'test': 'val'}


@EXPORTERS.register_module('crosclr')
class CrosCLRExporter(BaseExporter):
    """Padded arrays (N, C, T, V, M) of CrosSCLR, AimCLR, ActCLR and ST-GCN, a folder for every split."""

    folder_of = ('*/train_data_joint.npy', '*/val_data_joint.npy', '*/train_label.pkl', '*/val_label.pkl')

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Sizes, which are the same for all sequences."""
        parser.add_argument('--split', metavar='NAME', help='only this split; default: all')
        parser.add_argument('--frames', type=int, metavar='T', help='frames to pad to; default: those of the longest')
        parser.add_argument('--persons', type=int, metavar='M', help='persons to pad to; default: the most there are')

    def write(self, archive: SkeletonArchive, dst: Path, split: str | None = None, frames: int | None = None,
              persons: int | None = None) -> None:
        """Writes the arrays a sequence at a time.

        Raises:
            ConfigError: There is no such split, or ``frames`` or ``persons`` are not enough.
            DataError: There are no splits or no labels, or two sequences have one name.
        """
        names = unique_names(archive)
        if not archive.split_names:
            raise DataError(f'{archive.path} has no splits, and this format is a folder for each: give it one')
        if not archive.classes:
            raise DataError(f'{archive.path} has no labels, which this format cannot do without')
        size = (_size(archive, 'frames', frames), _size(archive, 'persons', persons))
        for name in archive.split_names if split is None else (split,):
            if Path(name).name != name or name.startswith('.'):
                raise DataError(f'{archive.path} has a split {name!r}, which cannot be the name of a folder')
            for part, word in _PARTS.items():
                positions = archive.split(name, part)
                folder = dst / name
                folder.mkdir(exist_ok=True)
                _write_part(archive, positions, folder / f'{word}_data_joint.npy', size)
                labels = ([names[i] for i in positions], archive.labels[positions].tolist())
                with (folder / f'{word}_label.pkl').open('wb') as file:
                    pickle.dump(labels, file, protocol=_PROTOCOL)


def _size(archive: SkeletonArchive, column: str, asked: int | None) -> int:
    counts = archive.column(column)
    if asked is None:
        return int(counts.max())
    if asked < counts.max():
        name = str(archive.column('name')[counts.argmax()])
        raise ConfigError(f'--{column} {asked}: sequence {name!r} has {counts.max()} {column}; pass at least as many')
    return asked


def _write_part(archive: SkeletonArchive, positions: np.ndarray, path: Path, size: tuple[int, int]) -> None:
    joints, axes = archive.layout.num_joints, archive.num_axes
    shape = (len(positions), axes, size[0], joints, size[1])
    with path.open('wb') as file:
        np.lib.format.write_array_header_1_0(file, dict(descr='<f4', fortran_order=False, shape=shape))
        for i in BaseConverter.track(positions.tolist(), f'writing {path.parent.name}/{path.name}'):
            padded = np.zeros(shape[1:], dtype='<f4')
            padded[:, :archive.frames(i), :, :archive.persons(i)] = archive.sequence(i).transpose(3, 1, 2, 0)
            file.write(padded.data)
