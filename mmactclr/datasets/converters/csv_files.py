"""Own recordings as CSV files, of any joints."""
import argparse
import functools
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import Layout, get_layout, list_layouts
from mmactclr.structures.name_tree import edges_from_names

from .csv_table import read_motion
from .file_converter import Clip, FileConverter, Recordings
from .json_source import load_json
from .labels import Labels, add_label_arguments, find_labels, split_maker
from .source_files import SourceFile, find_files, first_readable
from .units import PIXEL, UNKNOWN, add_unit_arguments, ask_for_unit, to_metres

_SKELETON_FIELDS = ('joints', 'edges', 'centre', 'shoulders', 'hips', 'flip_pairs', 'name')


def plain(name: str) -> str:
    """A joint's name without case, blanks and signs, for comparisons."""
    # one code for letters that can be written in several ways
    name = unicodedata.normalize('NFKC', name).casefold()
    # letters, marks that go with them, and digits; a name of signs alone stays what it is
    return ''.join(sign for sign in name if unicodedata.category(sign)[0] in 'LMN') or name


def match_joints(wanted: Sequence[str], joints: Sequence[str]) -> list[int | None]:
    """Position of every wanted joint among others: the same name, or one that differs in case, blanks and signs alone.

    None where there is none, or more than one.
    """
    exact = {name: i for i, name in enumerate(joints)}
    alike: dict[str, list[int]] = {}
    for i, name in enumerate(joints):
        alike.setdefault(plain(name), []).append(i)
    twice = Counter(plain(name) for name in wanted)
    found: list[int | None] = []
    for name in wanted:
        near = alike.get(plain(name), [])
        found.append(exact.get(name, near[0] if len(near) == 1 and twice[plain(name)] == 1 else None))
    return found


def read_csv(file: SourceFile, layout: Layout, labels: Labels, scale: float = 1.) -> list[Clip]:
    """The clip of one CSV file.

    Raises:
        DataError: The file is damaged or lacks a joint; the message names the line or the joint.
    """
    joints, keypoint, notes = read_motion(file.read(), file)
    keypoint = keypoint[:, :, joint_positions(layout, joints, file)]
    label, columns = labels.of(file)
    return [Clip(keypoint * keypoint.dtype.type(scale), labels.name_of(file), label, columns, notes)]


def joint_positions(layout: Layout, joints: Sequence[str], file: object) -> list[int]:
    """Where the joints of a layout are among those of a file.

    Raises:
        DataError: One is missing.
    """
    places = match_joints(layout.joints, joints)
    found = [place for place in places if place is not None]
    if len(found) < len(places):
        missing = layout.joints[places.index(None)]
        raise DataError(f'{file}, line 1: no joint {ascii(missing)}, which the other files have; it has '
                        f'{ascii(list(joints))[:200]}')
    return found


@CONVERTERS.register_module('csv')
class CSVConverter(FileConverter):
    """Own recordings: one CSV file each, any joints, in folders or zips."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Joints, unit, classes, splits."""
        super().add_arguments(parser)
        skeleton = parser.add_mutually_exclusive_group()
        skeleton.add_argument('--skeleton', metavar='FILE', help='JSON with "joints" and "edges" (pairs of names), and '
                              'where the names do not tell "centre", "shoulders", "hips", "flip_pairs"')
        skeleton.add_argument('--layout', metavar='NAME', help='use this registered layout: '
                              f'{", ".join(list_layouts())}')
        add_unit_arguments(parser, 'the coordinates', [PIXEL])
        parser.add_argument('--fps', type=float, help='frames per second')
        add_label_arguments(parser)

    def find(self, src: Path, *, skeleton: str | Path | None = None, layout: str | None = None,
             unit: str | None = None, metres_per_unit: float | None = None, fps: float | None = None,
             labels: str | Path | None = None, test_subjects: Sequence[str] | None = None,
             test_fraction: float | None = None, seed: int = 0) -> Recordings:
        """Looks for CSV files and at the header of the first.

        Args:
            src: Folder, zip or file.
            skeleton: JSON file with joints and edges.
            layout: Name of a registered layout.
            unit: One of ``METRES``, or ``pixel``.
            metres_per_unit: In place of ``unit``.
            fps: Frames per second.
            labels: See :func:`find_labels`.
            test_subjects: See :func:`split_maker`.
            test_fraction: See :func:`split_maker`.
            seed: See :func:`split_maker`.

        Raises:
            DataError: There are no such files, or the first or a table cannot be read.
            ConfigError: The skeleton can neither be told from the names nor was it given, or an option does not fit.
        """
        files = find_files(src, '*.csv', '*.tsv')
        if labels is not None:
            # the table may lie among the recordings
            files = [file for file in files if file.member or file.path.resolve() != Path(labels).resolve()]
            if not files:
                raise DataError(f'{src} holds no CSV file but the table of labels')
        if fps is not None and not fps > 0:
            raise ConfigError(f'--fps {fps}: expected a positive number')
        known = find_labels(src, files, labels)
        first, (joints, keypoint, _) = first_readable(known.files, lambda file: read_motion(file.read(), file))
        found = find_skeleton(joints, str(first), src.stem or 'own', skeleton, layout)
        if unit is None and metres_per_unit is None and keypoint.shape[-1] == 2:
            unit = PIXEL
        scale, unit = to_metres(unit, metres_per_unit)
        if unit == UNKNOWN:
            ask_for_unit(f'{src} does not state a unit', '--unit or --metres-per-unit')
        about = dict(fps=fps, unit=unit, source=src.name)
        return Recordings(
            known.files, functools.partial(read_csv, layout=found, labels=known, scale=scale), found,
            known.classes, split_maker(known, test_subjects, test_fraction, seed), about, known.excluded)


def find_skeleton(joints: Sequence[str], file: str, name: str, skeleton: str | Path | None = None,
                  layout: str | None = None) -> Layout:
    """The layout of recordings with these joints.

    In this order: the one that was asked for, one made of a skeleton file, a built-in one with the same names, one made
    of the names alone.

    Args:
        joints: Names, in any order.
        file: Where they are from, for messages.
        name: Name of a layout that is made.
        skeleton: JSON file.
        layout: Name of a registered layout.

    Raises:
        ConfigError: A joint of the layout is missing, or what the names do not tell was not given.
        DataError: The skeleton file cannot be read.
    """
    if layout is not None:
        found = get_layout(layout)
        missing = _missing(found.joints, joints)
        if missing:
            raise ConfigError(f'--layout {layout}: {file} has no joint {", ".join(missing[:5])}; it has '
                              f'{", ".join(joints)}')
        return found
    if skeleton is not None:
        fields = _read_skeleton(Path(skeleton))
        missing = _missing([str(joint) for joint in fields['joints']], joints)
        if missing:
            raise ConfigError(f'--skeleton {skeleton}: {file} has no joint {", ".join(map(str, missing[:5]))}; it has '
                              f'{", ".join(joints)}')
        return _make(skeleton, str(fields.pop('name', name)), **fields)
    for known in map(get_layout, list_layouts()):
        if len(known.joints) == len(joints) and not _missing(known.joints, joints):
            return known
    try:
        return Layout.from_edges(name, list(joints), edges_from_names(joints))
    except ConfigError as error:
        example = '{"joints": [...], "edges": [["hip", "knee"], ...]}'
        raise ConfigError(f'{file}: {error}. Write it down in a JSON file, {example}, and pass it with --skeleton '
                          '(what else is asked for goes into it as "centre", "shoulders", "hips" or '
                          '"flip_pairs")') from error


def _missing(wanted: Sequence[str], joints: Sequence[str]) -> list[str]:
    return [name for name, place in zip(wanted, match_joints(wanted, joints), strict=True) if place is None]


def _make(source: str | Path, name: str, joints: Any, edges: Any, **given: Any) -> Layout:
    try:
        return Layout.from_edges(name, joints, edges, **given)
    except ConfigError as error:
        raise ConfigError(f'--skeleton {source}: {error}') from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f'--skeleton {source}: expected names of joints and pairs of them ({error})') from error


def _read_skeleton(path: Path) -> dict[str, Any]:
    try:
        fields = load_json(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f'--skeleton {path} cannot be read ({error})') from error
    if not isinstance(fields, dict) or not {'joints', 'edges'} <= fields.keys() or set(fields) - {*_SKELETON_FIELDS}:
        found = ascii(sorted(map(str, fields)))[:200] if isinstance(fields, dict) else type(fields).__name__
        raise DataError(f'--skeleton {path} has {found}, expected "joints" and "edges", and perhaps '
                        f'{", ".join(_SKELETON_FIELDS[2:])}')
    for name in ('joints', 'edges'):
        if not isinstance(fields[name], list) or not fields[name]:
            raise DataError(f'--skeleton {path}: "{name}" is no list, or an empty one')
    return fields
