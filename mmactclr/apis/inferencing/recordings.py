"""Recordings from arrays, archives and files of every format that a converter reads."""
import argparse
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.archive_format import META
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures import Layout, get_layout

# converter of a file by its suffix; .npz is looked into
_FORMATS = {'.skeleton': 'ntu', '.csv': 'csv', '.json': 'pose', '.bvh': 'bvh', '.mat': 'utdmhad', '.pkl': 'pyskl',
            '.zip': None, '.npz': None}
# converters with an option for the unit
_TAKE_UNIT = ('csv',)
# files of a folder that a message names
_MOST_NAMES = 5


@dataclass(frozen=True)
class Recording:
    """One recording as it came.

    Attributes:
        name: What results call it.
        keypoint: (M, T, V, C) float32 coordinates, C = 2 or 3; zero where somebody or a joint was not seen.
        layout: Joints V.
        unit: Of the coordinates, such as ``m``.
        fps: Frames a second, None where nobody knows.
        label: Class by its position in ``classes``, -1 for none.
        classes: Names of the classes of the set that it comes from.

    Raises:
        DataError: If the shape does not fit the layout, a coordinate is not finite, or nobody is in it.
    """

    name: str
    keypoint: np.ndarray
    layout: Layout
    unit: str = 'm'
    fps: float | None = None
    label: int = -1
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape, joints = np.shape(self.keypoint), self.layout.num_joints
        if len(shape) != 4 or 0 in shape or shape[2] != joints or shape[3] not in (2, 3):
            raise DataError(f'{self.name}: shape is {shape}, expected (persons, frames, {joints}, 2 or 3) or (frames, '
                            f'{joints}, 2 or 3), with at least one person and frame, for layout {self.layout.name!r}; '
                            'name the layout of the recording with layout=')
        finite = np.isfinite(self.keypoint)
        if not finite.all():
            person, frame, joint, _ = np.argwhere(~finite)[0]
            raise DataError(
                f'{self.name}: {int((~finite).sum())} coordinates are not finite, the first of joint '
                f'{self.layout.joints[joint]!r}, frame {frame}, person {person}; fill them in between neighbouring '
                'frames, or set all coordinates of a joint that was not seen to zero')
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
            JSON of a pose estimator, flat npz, npz with ``keypoint``, npy) or a zip of them; a skeleton archive; a
            :class:`Recording`; or a list of any of these.
        layout: Joints of arrays and of files that do not name theirs.
        unit: Unit of arrays, metres if None.
        options: Arguments of the converter of a file, see ``convert.py FORMAT --help``; ``format`` names it where the
            suffix does not tell.
        fallback: Joints of arrays where ``layout`` says nothing, such as those of a model.

    Raises:
        ConfigError: If the layout is needed and missing, or an option does not fit.
        DataError: If there is no such file, it cannot be read, or holds nothing that can be used.
    """
    if isinstance(source, Recording):
        return [source]
    if isinstance(source, (str, Path)):
        return _read_path(Path(source), layout, unit, dict(options or {}), fallback)
    if isinstance(source, (list, tuple)) and source and not _is_numbers(source):
        found: list[Recording] = []
        for part in source:
            number = len(found)
            found += read_recordings(part, layout, unit, options, fallback) \
                if isinstance(part, (str, Path, Recording)) \
                else [_from_array(part, layout or fallback, unit, f'recording {number}')]
        return found
    return [_from_array(source, layout or fallback, unit, 'recording 0')]


def _is_numbers(source: Sequence[Any]) -> bool:
    """Whether nested lists are one array rather than a list of recordings."""
    inner = source[0]
    return not isinstance(inner, (str, Path, Recording)) and not hasattr(inner, 'shape') and np.ndim(inner) < 3


def _from_array(values: Any, layout: Any, unit: str | None, name: str) -> Recording:
    if layout is None:
        raise ConfigError(f'{name} is an array, which does not say what its joints are; name the layout with layout=')
    try:
        keypoint = np.asarray(values.detach().cpu() if hasattr(values, 'detach') else values)
    except ValueError as error:
        raise DataError(f'{name}: no array of numbers ({error}); expected (frames, joints, 2 or 3) or (persons, '
                        'frames, joints, 2 or 3)') from error
    if keypoint.dtype.kind not in 'fiu':
        raise DataError(f'{name}: an array of type {keypoint.dtype}, expected numbers')
    if keypoint.ndim == 3:
        keypoint = keypoint[None]
    return Recording(name, keypoint.astype(np.float32), get_layout(layout), unit or 'm')


def _read_path(path: Path, layout: Any, unit: str | None, options: dict[str, Any],
               fallback: Layout | None) -> list[Recording]:
    if (path / META).is_file():
        return _from_archive(SkeletonArchive.open(path))
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir())[:_MOST_NAMES] if path.parent.is_dir() else []
        raise DataError(f'{path} does not exist; ' + (f'that folder holds {", ".join(near)}' if near
                                                      else f'there is no folder {path.parent}'))
    if path.suffix.lower() == '.npy' or _has_plain_keypoint(path):
        return [_from_npy(path, layout, unit, fallback)]
    name = options.pop('format', None) or _format_of(path)
    if name == 'csv' and layout is not None:
        options.setdefault('layout', layout if isinstance(layout, str) else get_layout(layout).name)
    if unit is not None and name in _TAKE_UNIT:
        options.setdefault('unit', unit)
    with tempfile.TemporaryDirectory(prefix='mmactclr_') as folder:
        archive = convert_file(name, path, Path(folder) / 'archive', options)
        return [_named(recording, path) for recording in _from_archive(archive)]


def _named(recording: Recording, path: Path) -> Recording:
    return recording if recording.name else Recording(**{**vars(recording), 'name': path.stem})


def _from_npy(path: Path, layout: Any, unit: str | None, fallback: Layout | None) -> Recording:
    try:
        with path.open('rb') as file:
            content = np.load(file, allow_pickle=False)
            if path.suffix.lower() == '.npy':
                return _from_array(content, layout or fallback, unit, str(path))
            said = {name: str(content[name]) for name in content.files if name in ('layout', 'unit')}
            return _from_array(content['keypoint'], layout or said.get('layout') or fallback, unit or said.get('unit'),
                               str(path))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, (ConfigError, DataError)):
            raise
        raise DataError(f'{path} cannot be read ({error}); expected arrays as numpy.save or numpy.savez writes '
                        'them, without objects in them') from error


def _has_plain_keypoint(path: Path) -> bool:
    """Whether an npz is one recording: an array ``keypoint`` and no ``offsets`` of many."""
    if path.suffix.lower() != '.npz' or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    return 'keypoint.npy' in names and 'offsets.npy' not in names


def _format_of(path: Path) -> str:
    if path.is_dir() or path.suffix.lower() == '.zip':
        inside = _suffixes(path)
        known = [name for suffix in inside if (name := _FORMATS.get(suffix))]
        if len(known) == 1:
            return known[0]
        raise DataError(f'{path} holds files {", ".join(sorted(inside)) or "of no kind"}, so its format is not clear; '
                        f"name it: options=dict(format='csv'), one of {', '.join(sorted(CONVERTERS.module_dict))}")
    suffix = path.suffix.lower()
    if suffix == '.npz':
        return 'flat'
    found = _FORMATS.get(suffix)
    if found is None:
        raise DataError(f'{path}: files {suffix!r} are not known, expected {", ".join(sorted(_FORMATS))}, .npy, or a '
                        f"skeleton archive; name the format: options=dict(format='csv'), one of "
                        f'{", ".join(sorted(CONVERTERS.module_dict))}')
    return found


def _suffixes(path: Path) -> set[str]:
    if path.is_dir():
        return {p.suffix.lower() for p in path.rglob('*') if p.is_file()}
    try:
        with zipfile.ZipFile(path) as archive:
            return {Path(name).suffix.lower() for name in archive.namelist() if not name.endswith('/')}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f'{path} cannot be read as a zip ({error})') from error


def convert_file(name: str, source: Path, destination: Path, options: Mapping[str, Any]) -> SkeletonArchive:
    """Convert with a registered converter; options that are not given are those of the command line.

    Raises:
        ConfigError: If there is no such format or option.
        DataError: If nothing can be used.
    """
    kind = CONVERTERS.get(name)
    if kind is None:
        raise ConfigError(f'format {name!r} is not known, expected one of {", ".join(sorted(CONVERTERS.module_dict))}')
    converter, parser = kind(), argparse.ArgumentParser(add_help=False)
    converter.add_arguments(parser)
    defaults = {action.dest: action.default for action in parser._actions}
    if unknown := set(options) - set(defaults):
        raise ConfigError(f'format {name!r} has no option {", ".join(sorted(unknown))}; it has '
                          f'{", ".join(sorted(defaults)) or "none"}')
    if 'workers' in defaults:
        defaults['workers'] = 1
    return converter.convert(source, destination, strict=True, **{**defaults, **options})


def _from_archive(archive: SkeletonArchive) -> list[Recording]:
    names, labels = archive.column('name'), archive.labels
    unit, fps = archive.meta.get('unit') or 'm', archive.meta.get('fps')
    return [Recording(str(names[i]), np.array(archive.sequence(i), np.float32), archive.layout, unit, fps,
                      int(labels[i]), archive.classes) for i in range(len(archive))]
