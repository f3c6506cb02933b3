"""Annotation pickles that pyskl and mmaction2 read."""
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.converters.base import BaseConverter
from mmactclr.datasets.converters.pyskl import ABOUT
from mmactclr.registry import EXPORTERS

from .base import BaseExporter, unique_names

# The newest that Python 3.7 reads, which pyskl runs on.
_PROTOCOL = 4
_PARTS = {'train': 'train', 'test': 'val'}


@EXPORTERS.register_module('pyskl')
class PysklExporter(BaseExporter):
    """Annotation pickle of pyskl and mmaction2."""

    def write(self, archive: SkeletonArchive, dst: Path) -> None:
        """Writes one pickle of dicts, lists and arrays; coordinates are read as they are written.

        Raises:
            DataError: Two sequences have one name.
        """
        names = unique_names(archive)
        split = {f'{name}_{word}': [names[i] for i in np.flatnonzero(archive.column(f'split_{name}') == part)]
                 for name in archive.split_names for part, word in _PARTS.items()}
        meta = archive.meta
        about = dict(layout=archive.layout.to_dict(), classes=list(archive.classes),
                     **{key: meta.get(key) for key in ('fps', 'unit', 'source', 'licence')})
        columns = {key: archive.column(key) for key in archive.extra_columns}
        positions = BaseConverter.track(range(len(archive)), f'reading {archive.path.name}')
        annotations = [_annotation(archive, i, names[i], {key: column[i] for key, column in columns.items()})
                       for i in positions]
        with dst.open('wb') as file:
            _Pickler(file, _PROTOCOL).dump({'split': split, 'annotations': annotations, ABOUT: about})


def _annotation(archive: SkeletonArchive, i: int, name: str, columns: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(frame_dir=name, total_frames=archive.frames(i))
    if archive.classes:
        fields['label'] = int(archive.labels[i])
    for shape in ('img_shape', 'original_shape'):
        sides = [f'{shape}_{axis}' for axis in 'hw']
        if all(side in columns for side in sides):
            fields[shape] = tuple(columns.pop(side).item() for side in sides)
    fields.update({key: str(value) if isinstance(value, np.str_) else value for key, value in columns.items()})
    # a plain array, which is read from the archive when it is written
    fields['keypoint'] = np.asarray(archive.sequence(i))
    return fields


class _Pickler(pickle._Pickler):
    """Names numpy's functions as numpy 1 did, which numpy 2 reads too; forgets coordinates once they are written."""

    # what the pickler of the standard library has
    save: Callable[[Any], None]
    write: Callable[[bytes], None]

    def memoize(self, obj: Any) -> None:
        # what is remembered, in case it comes again, stays in memory: bytes of arrays, and the tuples that hold them
        if type(obj) not in (bytes, tuple):
            super().memoize(obj)  # type: ignore[misc]

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = getattr(obj, '__module__', None) or ''
        if not module.startswith('numpy._core'):
            super().save_global(obj, name)  # type: ignore[misc]
            return
        self.save(module.replace('numpy._core', 'numpy.core'))
        self.save(obj.__name__)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)
