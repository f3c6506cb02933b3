"""Recordings from arrays, archives and files of every format that a converter reads."""
import argparse
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.archive_format import META
from mmactclr.datasets.converters.labels import find_labels
from mmactclr.datasets.converters.source_files import SourceFile, find_files
from mmactclr.datasets.converters.units import unit_left_to_reader
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures import Layout, get_layout
from mmactclr.transforms.adaptation import METRES
from mmactclr.utils import read_arrays
from mmactclr.utils.cli import spelt

from .arguments import PIXEL, UNITS, UNKNOWN, as_numbers, check_size, known_unit

# converter of a file by its suffix; .npz is looked into
_FORMATS = {'.skeleton': 'ntu', '.csv': 'csv', '.json': 'pose', '.bvh': 'bvh', '.mat': 'utdmhad', '.pkl': 'pyskl',
            '.zip': None, '.npz': None}
# files that may hold one recording as an array
_ARRAYS = ('.npy', '.npz')
# files of a folder that a message names
_MOST_NAMES = 5


@dataclass(frozen=True)
class Recording:
    """One recording as it came.

    Attributes:
        name: What results call it.
        keypoint: (M, T, V, C) float32 coordinates, C = 2 or 3; zero where somebody or a joint was not seen.
        layout: Joints V.
        unit: Of the coordinates, such as ``m``; ``unknown`` where nobody knows.
        fps: Frames a second, None where nobody knows.
        label: Class by its position in ``classes``, -1 for none.
        classes: Names of the classes of the set that it comes from.

    Raises:
        ConfigError: If there is no such unit.
        DataError: If the shape does not fit the layout, a coordinate is not finite or absurd, or nobody is in it.
    """

    name: str
    keypoint: np.ndarray
    layout: Layout
    unit: str = 'm'
    fps: float | None = None
    label: int = -1
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'unit', known_unit(self.unit, self.name))
        shape, joints = np.shape(self.keypoint), self.layout.num_joints
        if len(shape) != 4 or 0 in shape or shape[2] != joints or shape[3] not in (2, 3):
            raise DataError(f'{self.name}: shape is {shape}, expected (persons, frames, {joints}, 2 or 3) or (frames, '
                            f'{joints}, 2 or 3), with at least one person and frame, for layout {self.layout.name!r}; '
                            f'name the layout of the recording with {spelt("layout=", "--layout")}')
        finite = np.isfinite(self.keypoint)
        if not finite.all():
            person, frame, joint, _ = np.argwhere(~finite)[0]
            raise DataError(
                f'{self.name}: {int((~finite).sum())} coordinates are not finite, the first of joint '
                f'{self.layout.joints[joint]!r}, frame {frame}, person {person}; fill them in between neighbouring '
                'frames, or set all coordinates of a joint that was not seen to zero')
        check_size(self.keypoint, self.name)
        if not self.keypoint.any():
            raise DataError(f'{self.name}: all coordinates are zero, nobody is in it')

    @property
    def num_frames(self) -> int:
        """T."""
        return self.keypoint.shape[1]

    @property
    def num_persons(self) -> int:
        """Persons who are seen in some frame."""
        return int(self.keypoint.any((1, 2, 3)).sum())


def read_recordings(source: Any, layout: str | Mapping[str, Any] | Layout | None = None, unit: str | None = None,
                    options: Mapping[str, Any] | None = None, fallback: Layout | None = None) -> list[Recording]:
    """Recordings of whatever holds motion.

    Args:
        source: An array (T, V, C) of one person or (M, T, V, C) of several; a file (``.skeleton`` of NTU, CSV, BVH,
            JSON of a pose estimator, flat npz, npz with ``keypoint``, npy), or a folder or zip of them; a skeleton
            archive; a :class:`Recording`; or a list of any of these.
        layout: Joints of arrays and of files that do not name theirs; others must have the same.
        unit: Unit of arrays and of files that do not name theirs, metres for arrays if None; others must have the same.
        options: Arguments of the converter of a file, see ``convert.py FORMAT --help``; ``format`` names it where the
            suffix does not tell.
        fallback: Joints of arrays where ``layout`` says nothing, such as those of a model.

    Raises:
        ConfigError: If the layout is needed and missing, an option does not fit, or what is said of a recording is not
            what it says of itself.
        DataError: If there is no such file, it cannot be read, or holds nothing that can be used.
    """
    if layout is not None and not isinstance(layout, (str, Mapping, Layout)):
        raise ConfigError(f'layout is {layout!r}, expected a name, a Layout or its dict')
    said = _Said(None if layout is None else get_layout(layout), None if unit is None else known_unit(unit),
                 dict(options or {}), fallback)
    if isinstance(source, (list, tuple)) and not len(source):
        raise DataError('there are no recordings to look at: the list is empty')
    if isinstance(source, (list, tuple)) and not _is_numbers(source):
        found: list[Recording] = []
        for part in source:
            found += _read(part, said, len(found))
        return found
    return _read(source, said, 0)


@dataclass(frozen=True)
class _Said:
    """What a caller says of recordings."""

    layout: Layout | None
    unit: str | None
    options: dict[str, Any]
    fallback: Layout | None

    def without_options(self, where: object) -> '_Said':
        """Refuses options."""
        if self.options:
            raise ConfigError(f'{where} is read by no converter, so option {", ".join(sorted(self.options))} is of no '
                              'use; leave it out')
        return self

    def of(self, recording: Recording) -> Recording:
        """A recording that says something of itself, with the unit where that is not among it.

        Raises:
            ConfigError: If it says something else.
        """
        if self.layout is not None and self.layout.joints != recording.layout.joints:
            raise ConfigError(f'{recording.name} has the {recording.layout.num_joints} joints of layout '
                              f'{recording.layout.name!r}, not those of {self.layout.name!r}; leave '
                              f'{spelt("layout", "--layout")} out')
        if self.unit in (None, recording.unit) or METRES.get(self.unit, 0) == METRES.get(recording.unit):
            return recording
        if recording.unit == UNKNOWN:
            return replace(recording, unit=self.unit)
        raise ConfigError(f'{recording.name} is in {recording.unit} as it says itself, not in {self.unit}; leave '
                          f'{spelt("unit", "--unit")} out' + ('' if recording.unit == PIXEL else spelt(
                              ', or give metres_per_unit', ', or give --metres-per-unit')))


def _read(source: Any, said: _Said, number: int) -> list[Recording]:
    if isinstance(source, Recording):
        return [said.without_options(source.name).of(source)]
    if isinstance(source, (str, Path)):
        return _read_path(Path(source), said)
    return [_from_array(source, said.without_options('an array'), f'recording {number}')]


def _is_numbers(source: Sequence[Any]) -> bool:
    """Whether nested lists are one array rather than a list of recordings."""
    inner = source[0]
    if isinstance(inner, (str, Path, Recording)) or hasattr(inner, 'shape'):
        return False
    try:
        return np.ndim(inner) < 3
    except ValueError:  # lists of different lengths
        return True


def _from_array(values: Any, said: _Said, name: str) -> Recording:
    layout = said.layout or said.fallback
    if layout is None:
        raise ConfigError(f'{name} is an array, which does not say what its joints are; name the layout with '
                          f'{spelt("layout=", "--layout")}')
    keypoint = as_numbers(values, name, '(frames, joints, 2 or 3) or (persons, frames, joints, 2 or 3)')
    return Recording(name, keypoint[None] if keypoint.ndim == 3 else keypoint, layout, said.unit or 'm')


def is_archive(path: str | Path) -> bool:
    """Whether a path is a skeleton archive, which says everything of itself."""
    return (Path(path) / META).is_file()


def _read_path(path: Path, said: _Said) -> list[Recording]:
    if is_archive(path):
        said = said.without_options(path)
        return [said.of(recording) for recording in _from_archive(SkeletonArchive.open(path), said.unit)]
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir())[:_MOST_NAMES] if path.parent.is_dir() else []
        raise DataError(f'{path} does not exist; ' + (f'that folder holds {", ".join(near)}' if near
                                                      else f'there is no folder {path.parent}'))
    options = dict(said.options)
    if name := options.pop('format', None):
        return _converted(path, str(name), replace(said, options=options))
    if path.is_dir() or path.suffix.lower() == '.zip':
        return _read_folder(path, said)
    if _holds_arrays(path.suffix, path):
        return [_from_numpy(path, path, said.without_options(path))]
    return _converted(path, _format_of(path), said)


def _read_folder(path: Path, said: _Said) -> list[Recording]:
    """Recordings of all files of a folder or zip that are known: arrays first, then by format."""
    try:
        found_files = find_files(path, *(f'*{suffix}' for suffix in (*_FORMATS, *_ARRAYS) if suffix != '.zip'))
    except DataError as error:
        raise DataError(f'{error}; if there are recordings in it, {_name_it()}') from error
    # an npz is opened to see what it is
    files = [(file, BytesIO(file.read()) if file.member and _suffix(file) in _ARRAYS else file.path)
             for file in found_files]
    arrays = [(file, content) for file, content in files if _holds_arrays(_suffix(file), content)]
    rest = [file for file, content in files if not _holds_arrays(_suffix(file), content)]
    formats = sorted({name for file in rest if (name := _FORMATS.get(_suffix(file)))})
    flat = [file for file in rest if _suffix(file) == '.npz']
    if not rest:
        said = said.without_options(path)
    if packed := [str(file) for file in flat if file.member]:
        raise DataError(f'{packed[0]}: a flat npz is not read from within a zip; unpack it')
    known = find_labels(path, [file for file, _ in arrays])
    found = [replace(_from_numpy(content, file, replace(said, options={})), label=known.of(file)[0],
                     classes=known.classes) for file, content in arrays]
    for file in flat:
        found += _converted(file.path, 'flat', said)
    for name in formats:
        found += _converted(path, name, said)
    return found


def _suffix(file: SourceFile) -> str:
    return Path(file.name).suffix.lower()


def _holds_arrays(suffix: str, content: Path | BytesIO) -> bool:
    """Whether a file is one recording as an array: an npy, or an npz with ``keypoint`` and no ``offsets`` of many."""
    if suffix.lower() != '.npz':
        return suffix.lower() == '.npy'
    if not zipfile.is_zipfile(content):
        return False
    with zipfile.ZipFile(content) as archive:
        names = set(archive.namelist())
    if isinstance(content, BytesIO):
        content.seek(0)
    return 'keypoint.npy' in names and 'offsets.npy' not in names


def _from_numpy(content: Path | BytesIO, name: object, said: _Said) -> Recording:
    arrays = read_arrays(content, name)
    if isinstance(arrays, np.ndarray):
        return _from_array(arrays, said, str(name))
    given = {}
    for field in ('layout', 'unit'):
        if field in arrays:
            if arrays[field].shape or arrays[field].dtype.kind != 'U':
                raise DataError(f'{name}: {field} is an array of {arrays[field].dtype}, shape {arrays[field].shape}; '
                                'expected one text')
            given[field] = str(arrays[field])
    own = replace(said, layout=get_layout(given['layout']) if 'layout' in given else said.layout,
                  unit=known_unit(given['unit'], str(name)) if 'unit' in given else said.unit)
    return said.of(_from_array(arrays['keypoint'], own, str(name)))


def _converted(path: Path, name: str, said: _Said) -> list[Recording]:
    """Recordings of a file by a converter, which is told what it asks for; the rest is compared with what it found."""
    options, asked = dict(said.options), converter_arguments(name)
    if said.layout is not None and 'layout' in asked and not {'layout', 'skeleton'} & set(options):
        options['layout'] = said.layout.name
    if said.unit not in (None, UNKNOWN) and 'unit' in asked and not {'unit', 'metres_per_unit'} & set(options):
        choices = list(map(str, asked['unit'].choices or ()))
        units = [unit for unit in choices if unit == said.unit or METRES.get(unit, 0) == METRES.get(said.unit)]
        if not units:
            raise ConfigError(f'{path}: unit is {said.unit!r}, format {name!r} has {", ".join(choices)}')
        options['unit'], said = units[0], replace(said, unit=None)
    with tempfile.TemporaryDirectory(prefix='mmactclr_') as folder:
        with unit_left_to_reader():
            archive = convert_file(name, path, Path(folder) / 'archive', options)
        return [said.of(_named(recording, path)) for recording in _from_archive(archive, said.unit)]


def _named(recording: Recording, path: Path) -> Recording:
    return recording if recording.name else replace(recording, name=path.stem)


def _name_it() -> str:
    example = spelt("options=dict(format='csv')", '--format csv')
    return f'name the format: {example}, one of {", ".join(sorted(CONVERTERS.module_dict))}'


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == '.npz':
        return 'flat'
    found = _FORMATS.get(suffix)
    if found is None:
        raise DataError(f'{path}: files {suffix!r} are not known, expected {", ".join(sorted(_FORMATS))}, .npy, or a '
                        f'skeleton archive; {_name_it()}')
    return found


def convert_file(name: str, source: Path, destination: Path, options: Mapping[str, Any]) -> SkeletonArchive:
    """Convert with a registered converter; options that are not given are those of the command line.

    Raises:
        ConfigError: If there is no such format or option.
        DataError: If nothing can be used.
    """
    asked = converter_arguments(name)
    defaults = {argument: action.default for argument, action in asked.items()}
    if unknown := set(options) - set(defaults):
        raise ConfigError(f'format {name!r} has no option {", ".join(sorted(unknown))}; it has '
                          f'{", ".join(sorted(defaults)) or "none"}')
    if 'workers' in defaults:
        defaults['workers'] = 1
    return CONVERTERS.get(name)().convert(source, destination, strict=True, **{**defaults, **options})


def converter_arguments(name: str) -> dict[str, argparse.Action]:
    """Arguments of a registered converter by name.

    Raises:
        ConfigError: If there is no such format.
    """
    kind = CONVERTERS.get(name)
    if kind is None:
        raise ConfigError(f'format {name!r} is not known, expected one of {", ".join(sorted(CONVERTERS.module_dict))}')
    parser = argparse.ArgumentParser(add_help=False)
    kind().add_arguments(parser)
    return {action.dest: action for action in parser._actions}


def _from_archive(archive: SkeletonArchive, said: str | None) -> list[Recording]:
    names, labels = archive.column('name'), archive.labels
    unit, fps = str(archive.meta.get('unit') or said or 'm'), archive.meta.get('fps')
    # archives may have any word, such as that of another program
    unit = unit if unit.strip().lower() in UNITS else UNKNOWN
    return [Recording(str(names[i]), np.array(archive.sequence(i), np.float32), archive.layout, unit, fps,
                      int(labels[i]), archive.classes) for i in range(len(archive))]
