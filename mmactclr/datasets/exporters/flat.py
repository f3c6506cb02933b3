"""Flat npz: one file of plain arrays that any numpy reads."""
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.converters.base import BaseConverter
from mmactclr.datasets.converters.flat import NOT_COLUMNS
from mmactclr.errors import DataError
from mmactclr.registry import EXPORTERS

from .base import BaseExporter, unique_names

_UNITS = {'m': 'metres'}
_CLEAN = '_clean'


@EXPORTERS.register_module('flat')
class FlatExporter(BaseExporter):
    """One npz with all frames of all sequences."""

    def write(self, archive: SkeletonArchive, dst: Path) -> None:
        """Writes the file in one go, a sequence at a time.

        Raises:
            DataError: A column has a name that means something else in this format.
        """
        arrays = _arrays(archive)
        with zipfile.ZipFile(dst, 'w') as stored:
            with _member(stored, 'keypoint') as file:
                persons = int(archive.column('persons').max())
                shape = (int(archive.column('frames').sum()), persons, archive.layout.num_joints, archive.num_axes)
                np.lib.format.write_array_header_1_0(file, dict(descr='<f4', fortran_order=False, shape=shape))
                for i in BaseConverter.track(range(len(archive)), f'writing {dst.name}'):
                    keypoint = np.zeros((archive.frames(i), *shape[1:]), dtype='<f4')
                    keypoint[:, :archive.persons(i)] = archive.sequence(i).swapaxes(0, 1)
                    file.write(keypoint.tobytes())
            for name, array in arrays.items():
                with _member(stored, name) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)


def _member(stored: zipfile.ZipFile, name: str) -> IO[bytes]:
    """An array to write, without the time of day, so that the same archive gives the same bytes."""
    return stored.open(zipfile.ZipInfo(f'{name}.npy'), 'w', force_zip64=True)


def _arrays(archive: SkeletonArchive) -> dict[str, np.ndarray]:
    """All arrays but the coordinates."""
    meta, layout = archive.meta, archive.layout
    arrays = dict(
        offsets=np.cumsum([0, *archive.column('frames')]), name=archive.column('name'),
        joint_names=np.array(layout.joints), edges=np.array(layout.bones),
        units=np.array(_UNITS.get(meta.get('unit', ''), meta.get('unit', ''))),
        source=np.array(meta.get('source', '')), licence=np.array(meta.get('licence', '')))
    if archive.classes:
        arrays.update(label=archive.labels, class_names=np.array(archive.classes))
    if meta.get('fps'):
        arrays['fps'] = np.array(meta['fps'])
    columns = {key: archive.column(key) for key in archive.extra_columns}
    copies = columns.pop('duplicate_of', None)
    for split in archive.split_names:
        # reading makes these from duplicate_of
        if copies is None or not (split.endswith(_CLEAN) and split.removesuffix(_CLEAN) in archive.split_names):
            arrays[f'split_{split}'] = archive.column(f'split_{split}')
    if copies is not None:
        places = {name: i for i, name in enumerate(unique_names(archive))}
        arrays['duplicate_of'] = np.array([places.get(str(name), -1) for name in copies])
    if wrong := [key for key in columns if key in NOT_COLUMNS or key.endswith('_names')]:
        raise DataError(f'{archive.path} has a column {wrong[0]!r}, which means something else in a flat npz')
    names = meta.get('extra', {}).get('names', {})
    return {**arrays, **columns, **{f'{key}_names': np.array(values) for key, values in names.items()}}
