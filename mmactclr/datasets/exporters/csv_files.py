"""CSV files, a recording each, that any program reads."""
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_format import REQUIRED_COLUMNS
from mmactclr.datasets.converters.base import BaseConverter
from mmactclr.datasets.converters.csv_table import parse_header
from mmactclr.errors import DataError
from mmactclr.registry import EXPORTERS
from mmactclr.structures import Layout, get_layout, list_layouts

from .base import BaseExporter, unique_names

TABLE, SKELETON = 'labels.csv', 'skeleton.json'
# the first line of the table, by which a folder is known as written here
_SIGN = '# one recording a file, written by export.py csv'
# as many digits as tell a float32 from its neighbours
_DIGITS = '%.9g'
# of a name of a file, with room for the suffix
_LONGEST = 200
_RESERVED = {*REQUIRED_COLUMNS, 'file', 'split', 'keypoint', 'notes'}


@EXPORTERS.register_module('csv')
class CSVExporter(BaseExporter):
    """A CSV file a recording, labels.csv with class and splits of each, skeleton.json for joints of no known layout."""

    folder_of = ('*.csv', SKELETON)

    def write(self, archive: SkeletonArchive, dst: Path) -> None:
        """Writes the files a sequence at a time; numbers have as many digits as float32 needs.

        Raises:
            DataError: Two sequences have one name or one cannot be that of a file, a joint has a name that no column
                can have, or a column of the archive one that means something else in the table.
        """
        names, layout = unique_names(archive), archive.layout
        table = list(_table(archive, [_file_name(archive, name) for name in names]))
        header = [f'{joint}_{axis}' for joint in layout.joints for axis in 'xyz'[:archive.num_axes]]
        _check_header(archive, header)
        for i in BaseConverter.track(range(len(archive)), f'writing {dst.name}'):
            with (dst / f'{names[i]}.csv').open('w', encoding='utf-8', newline='\n') as file:
                _write_motion(file, np.asarray(archive.sequence(i)), header)
        if layout.name not in list_layouts() or get_layout(layout.name) != layout:
            (dst / SKELETON).write_text(json.dumps(_skeleton(layout), indent=1) + '\n', encoding='utf-8')
        with (dst / TABLE).open('w', encoding='utf-8', newline='') as file:
            file.write(f'{_SIGN}\n')
            csv.writer(file, lineterminator='\n').writerows(table)

    def _check_destination(self, dst: Path, overwrite: bool) -> None:
        super()._check_destination(dst, overwrite)
        if dst.is_dir() and any(dst.iterdir()):
            # CSV files may be anybody's
            table = dst / TABLE
            if not table.is_file() or not table.read_bytes().startswith(_SIGN.encode()):
                raise DataError(f'{dst} holds CSV files that no export wrote: choose another destination')


def _write_motion(file: IO[str], keypoint: np.ndarray, header: Sequence[str]) -> None:
    """A line for every person and frame; joints that were not seen are empty."""
    persons, frames, _, axes = keypoint.shape
    several, numbers = persons > 1, ','.join([_DIGITS] * len(header))
    file.write(','.join(['frame', *['person'] * several, *header]) + '\n')
    for t in range(frames):
        for m in range(persons):
            values = np.ascontiguousarray(keypoint[m, t], np.float32)
            line = numbers % tuple(values.ravel().tolist())
            # a joint that lies at zero to the last bit was not seen
            unseen = ~values.view(np.uint32).any(-1)
            if unseen.any():
                cells = line.split(',')
                for joint in np.flatnonzero(unseen):
                    cells[joint * axes:(joint + 1) * axes] = [''] * axes
                line = ','.join(cells)
            file.write(f'{t},{m},{line}\n' if several else f'{t},{line}\n')


def _check_header(archive: SkeletonArchive, header: Sequence[str]) -> None:
    """Refuses joints that would be others when they are read again."""
    line = ','.join(['frame', *header])
    try:
        found = parse_header([line.encode()], archive.path).joints if '\n' not in line and '\r' not in line else ()
    except DataError:
        found = ()
    if found != archive.layout.joints:
        raise DataError(f'{archive.path}: the joints {ascii(list(archive.layout.joints))[:200]} cannot all be names of '
                        'columns of a CSV file: convert the data again with other names')


def _file_name(archive: SkeletonArchive, name: str) -> str:
    good = name == name.strip() and name.isprintable() and not set(name) & set('/\\') and name[:1] not in ('.', '#')
    if not name or not good or len(name.encode()) > _LONGEST or name.lower() == Path(TABLE).stem:
        raise DataError(f'{archive.path} has a sequence {name!r}, which cannot be the name of a file: convert the data '
                        'again with other names')
    return f'{name}.csv'


def _table(archive: SkeletonArchive, files: Sequence[str]) -> Iterator[list[Any]]:
    """The table of labels, its header first."""
    columns: dict[str, list[Any]] = {'file': list(files)}
    if archive.classes:
        columns['label'] = [archive.classes[label] for label in archive.labels]
    for key in archive.extra_columns:
        if key.lower() in _RESERVED or key.lower() == 'label' or not key.strip():
            raise DataError(f'{archive.path} has a column {key!r}, which means something else in a table of labels')
        columns[key] = archive.column(key).tolist()
    columns |= {f'split_{name}': archive.column(f'split_{name}').tolist() for name in archive.split_names}
    yield list(columns)
    yield from map(list, zip(*columns.values(), strict=True))


def _skeleton(layout: Layout) -> dict[str, Any]:
    def names(pairs: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[layout.joints[j] for j in pair] for pair in pairs]

    return dict(name=layout.name, joints=list(layout.joints), edges=names(layout.bones),
                centre=layout.joints[layout.centre], shoulders=names([layout.shoulders])[0],
                hips=names([layout.hips])[0], flip_pairs=names(layout.flip_pairs))
