"""Motion capture: BVH files, and Acclaim skeletons and motion as of CMU and HDM05."""
import argparse
import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import Layout, get_layout, list_layouts

from .acclaim import joint_positions, parse_amc, parse_asf
from .bvh import read_bvh
from .csv_files import find_skeleton, match_joints
from .csv_files import joint_positions as joint_places
from .file_converter import Clip, FileConverter, Recordings
from .labels import Labels, add_label_arguments, find_labels, split_maker
from .naming import folders_below
from .paired_file import PairedFile
from .source_files import SourceFile, find_files, first_readable, natural_key
from .units import add_unit_arguments, to_metres

CMU_FPS = 120.
_HDM05_NAME = re.compile(r'HDM_(?P<subject>[a-z]{2})_(?P<action>.+)_(?P<take>\d{3})_(?P<fps>\d+)')
_HDM05_LICENCE = 'CC BY-SA 3.0; "The data used in this project was obtained from HDM05." (Müller et al., CG-2007-2)'
_CMU_LICENCE = 'free for all uses (mocap.cs.cmu.edu, NSF EIA-0196217)'
_NO_SKELETON = 'no skeleton (.asf) goes with it'
OTHER_RATE = 'another frame rate than that of the archive, kept as it is: --fps makes them alike'
# Relative difference up to which two frame rates are the same.
_SAME_RATE = 1e-3
_LARGEST = float(np.finfo(np.float32).max)


def arrange(file: object, joints: Sequence[str], positions: np.ndarray, layout: Layout, scale: float,
            step: np.ndarray | None) -> np.ndarray:
    """(1, T, V, 3) float32 of the joints of a layout, found by name.

    Args:
        file: Where they are from, for messages.
        joints: Names.
        positions: (T, len(joints), 3).
        layout: What to bring them to.
        scale: Metres per unit.
        step: Frames to take, all if None.

    Raises:
        DataError: A joint is missing, or coordinates are absurd.
    """
    found = positions[:, joint_places(layout, joints, file)] * scale
    if not np.abs(found).max(initial=0) <= _LARGEST:
        raise DataError(f'{file}, line 1: coordinates beyond {_LARGEST:.1e}')
    return (found if step is None else found[step]).astype(np.float32)[None]


def thinned(frames: int, rate: float, fps: float | None) -> np.ndarray | None:
    """Frames that make ``fps`` of ``rate`` per second, the nearest ones; None for all of them.

    Raises:
        ConfigError: More frames are asked for than there are.
    """
    if fps is None or _same_rate(fps, rate):
        return None
    if fps > rate:
        raise ConfigError(f'--fps {fps:g}: the recordings have {rate:g} frames per second')
    count = max(int((frames - 1) * fps / rate + 1e-9) + 1, 1)
    return np.round(np.arange(count) * rate / fps).astype(int).clip(max=frames - 1)


def _same_rate(one: float, other: float) -> bool:
    return abs(one - other) < _SAME_RATE * other


def at_rate(file: object, frames: int, rate: float, fps: float | None, stated: float,
            ) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Frames to take of one file (:func:`thinned`), and what is to be noted of its rate.

    Args:
        file: Its name, for messages.
        frames: How many it has.
        rate: Of the file, per second.
        fps: Wanted; None for that of the file.
        stated: What the archive says.

    Raises:
        DataError: It has fewer frames per second than wanted.
    """
    try:
        step = thinned(frames, rate, fps)
    except ConfigError as error:
        raise DataError(f'{file}, line 1: {error}') from error
    return step, (OTHER_RATE,) if fps is None and not _same_rate(rate, stated) else ()


def body_layout(joints: Sequence[str], edges: Sequence[tuple[int, int]], file: str, name: str,
                skeleton: str | Path | None, layout: str | None) -> Layout:
    """The layout of a hierarchy: one that was asked for, a built-in one of the same joints, or one of its own.

    Raises:
        ConfigError: A joint of the layout is missing, or names do not tell shoulders, hips or the centre.
    """
    if layout is not None or skeleton is not None:
        return find_skeleton(joints, file, name, skeleton, layout)
    for known in map(get_layout, list_layouts()):
        if len(known.joints) == len(joints) and None not in match_joints(known.joints, joints):
            return known
    try:
        return Layout.from_edges(name, list(joints), list(edges))
    except ConfigError as error:
        raise ConfigError(f'{file}: {error}. Choose a layout with --layout, or say it in a JSON file with "joints", '
                          '"edges", "centre", "shoulders", "hips" and "flip_pairs" (--skeleton)') from error


def add_body_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--skeleton``, ``--layout``, ``--fps``."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--skeleton', metavar='FILE', help='JSON with "joints", "edges" and what the names do not tell')
    group.add_argument('--layout', metavar='NAME', help=f'take the joints of this layout: {", ".join(list_layouts())}')
    parser.add_argument('--fps', type=float, help='take so many frames per second, the nearest ones; default: all')


def read_bvh_clip(file: SourceFile, layout: Layout, labels: Labels, scale: float, fps: float | None,
                  stated: float) -> list[Clip]:
    """The clip of one BVH file.

    Raises:
        DataError: The file is damaged, lacks a joint or has fewer frames per second than wanted.
    """
    joints, _, positions, rate = read_bvh(file.read(), file)
    step, notes = at_rate(file, len(positions), rate, fps, stated)
    keypoint = arrange(file, joints, positions, layout, scale, step)
    label, columns = labels.of(file)
    return [Clip(keypoint, labels.name_of(file), label, columns, notes)]


@CONVERTERS.register_module('bvh')
class BVHConverter(FileConverter):
    """BVH motion capture, any hierarchy, in folders or zips."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Joints, unit, rate, classes, splits."""
        super().add_arguments(parser)
        add_body_arguments(parser)
        add_unit_arguments(parser, 'the offsets')
        add_label_arguments(parser)

    def find(self, src: Path, *, skeleton: str | Path | None = None, layout: str | None = None,
             fps: float | None = None, unit: str | None = None, metres_per_unit: float | None = None,
             labels: str | Path | None = None, test_subjects: Sequence[str] | None = None,
             test_fraction: float | None = None, seed: int = 0) -> Recordings:
        """Looks for BVH files and into the first.

        Args:
            src: Folder, zip or file.
            skeleton: JSON file with joints and edges.
            layout: Name of a registered layout.
            fps: Frames per second to take.
            unit: Unit of the offsets.
            metres_per_unit: In place of ``unit``.
            labels: See :func:`find_labels`.
            test_subjects: See :func:`split_maker`.
            test_fraction: See :func:`split_maker`.
            seed: See :func:`split_maker`.

        Raises:
            DataError: There are no such files, or the first cannot be read.
            ConfigError: The joints do not tell a body, pybvh is missing, or an option does not fit.
        """
        _check_fps(fps)
        known = find_labels(src, find_files(src, '*.bvh'), labels)
        first, (joints, edges, positions, rate) = first_readable(known.files, lambda file: read_bvh(file.read(), file))
        thinned(len(positions), rate, fps)
        found = body_layout(joints, edges, str(first), src.stem or 'bvh', skeleton, layout)
        scale, unit = to_metres(unit, metres_per_unit)
        about = dict(fps=fps or round(rate, 3), unit=unit, source=src.name)
        read = functools.partial(read_bvh_clip, layout=found, labels=known, scale=scale, fps=fps, stated=rate)
        splits = split_maker(known, test_subjects, test_fraction, seed)
        return Recordings(known.files, read, found, known.classes, splits, about, known.excluded)


def _check_fps(fps: float | None) -> None:
    if fps is not None and not fps > 0:
        raise ConfigError(f'--fps {fps}: expected a positive number')


def read_amc_clip(file: PairedFile, layout: Layout, labels: Labels, rates: dict[str, float], fps: float | None,
                  stated: float) -> list[Clip]:
    """The clip of an AMC file and its skeleton.

    Raises:
        DataError: One of them is damaged, they do not belong together, or there are fewer frames per second than
            wanted.
    """
    skeleton = parse_asf(file.partner.read(), file.partner)
    motion = parse_amc(file.read(), file, skeleton)
    try:
        positions = joint_positions(skeleton, motion)
    except DataError as error:
        raise DataError(f'{file}, line 1: {error}') from error
    step, notes = at_rate(file, len(positions), rates.get(str(file), CMU_FPS), fps, stated)
    keypoint = arrange(file, skeleton.joints, positions, layout, skeleton.metres_per_unit, step)
    label, columns = labels.of(file)
    return [Clip(keypoint, labels.name_of(file), label, columns, notes)]


def find_pairs(src: Path) -> tuple[list[PairedFile], dict[str, list[str]]]:
    """AMC files with their skeletons.

    Of those in the nearest folder it is the one whose name begins that of the motion, or the only one.

    Returns:
        Pairs, and names of motion without a skeleton by reason.

    Raises:
        DataError: There is no motion, or no skeleton at all.
    """
    motions, skeletons = find_files(src, '*.amc'), find_files(src, '*.asf')
    pairs, alone = [], []
    for motion in motions:
        partner = _partner(src, motion, skeletons)
        if partner is None:
            alone.append(motion.name)
        else:
            pairs.append(PairedFile.of(motion, partner))
    if not pairs:
        raise DataError(f'{src}: no .asf goes with any of {len(motions)} .amc files, expected one in the same folder')
    return pairs, {_NO_SKELETON: alone} if alone else {}


def _partner(src: Path, motion: SourceFile, skeletons: Sequence[SourceFile]) -> SourceFile | None:
    here = folders_below(src, motion)

    def nearness(skeleton: SourceFile) -> tuple[int, int]:
        above = folders_below(src, skeleton)
        least = min(len(here), len(above))
        common = next((k for k in range(least) if here[k] != above[k]), least)
        named = len(skeleton.stem) if motion.stem.lower().startswith(skeleton.stem.lower()) else -1
        return common - len(above), named

    ranked = sorted(skeletons, key=nearness, reverse=True)
    best = [skeleton for skeleton in ranked if nearness(skeleton) == nearness(ranked[0])]
    named = [skeleton for skeleton in skeletons if motion.stem.lower().startswith(skeleton.stem.lower())]
    if nearness(best[0])[1] < 0 and named:
        return max(named, key=lambda skeleton: len(skeleton.stem))
    return best[0] if len(best) == 1 else None


class AcclaimConverter(FileConverter):
    """What CMU and HDM05 share: pairs of a skeleton and a motion."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Joints, rate, classes, splits."""
        super().add_arguments(parser)
        add_body_arguments(parser)
        add_label_arguments(parser)

    def recordings(self, src: Path, known: Labels, rates: dict[str, float], about: dict[str, Any],
                   excluded: dict[str, list[str]], skeleton: str | Path | None, layout: str | None,
                   fps: float | None, **splits: Any) -> Recordings:
        """What there is to read, once labels and rates are known."""
        first, body = first_readable(known.files, lambda file: parse_asf(file.partner.read(), file.partner))
        found = body_layout(body.joints, body.edges, str(first.partner), first.partner.stem, skeleton, layout)
        rate = max({rates.get(str(file), CMU_FPS) for file in known.files})
        thinned(1, rate, fps)
        read = functools.partial(read_amc_clip, layout=found, labels=known, rates=rates, fps=fps, stated=rate)
        return Recordings(known.files, read, found, known.classes, split_maker(known, **splits),
                          dict(fps=fps or rate, unit='m', **about), {**excluded, **known.excluded})


@CONVERTERS.register_module('cmu')
class CMUConverter(AcclaimConverter):
    """CMU motion capture, .asf and .amc files; classes from --labels or folders."""

    def find(self, src: Path, *, skeleton: str | Path | None = None, layout: str | None = None,
             fps: float | None = None, labels: str | Path | None = None, **splits: Any) -> Recordings:
        """Looks for motion and the skeletons that go with it.

        Without a table the subject is what stands before the last underscore of a name (``07_01``); folders name
        subjects, not classes.

        Args:
            src: Folder or zip.
            skeleton: JSON file with joints and edges.
            layout: Name of a registered layout.
            fps: Frames per second to take of the 120.
            labels: See :func:`find_labels`.
            **splits: See :func:`split_maker`.

        Raises:
            DataError: There are no such files, or the first skeleton cannot be read.
            ConfigError: An option does not fit.
        """
        _check_fps(fps)
        pairs, excluded = find_pairs(src)
        if labels is not None:
            known = find_labels(src, pairs, labels)
        else:
            known = Labels(list(pairs), columns={
                str(file): dict(subject=file.stem.rpartition('_')[0] or file.stem) for file in pairs})
        about = dict(source='CMU Graphics Lab Motion Capture Database', licence=_CMU_LICENCE)
        return self.recordings(src, known, {}, about, excluded, skeleton, layout, fps, **splits)


@CONVERTERS.register_module('hdm05')
class HDM05Converter(AcclaimConverter):
    """HDM05 motion capture, .asf and .amc files; class, actor and rate from the names of the cut clips."""

    def find(self, src: Path, *, skeleton: str | Path | None = None, layout: str | None = None,
             fps: float | None = None, labels: str | Path | None = None, **splits: Any) -> Recordings:
        """Looks for motion named as ``HDM_bd_cartwheelLHandStart1Reps_001_120.amc``.

        Args:
            src: Folder or zip.
            skeleton: JSON file with joints and edges.
            layout: Name of a registered layout; ``hdm31`` is recognised.
            fps: Frames per second to take.
            labels: A table in place of the names, see :func:`find_labels`.
            **splits: See :func:`split_maker`.

        Raises:
            DataError: There are no such files, or the first skeleton cannot be read.
            ConfigError: An option does not fit.
        """
        _check_fps(fps)
        pairs, excluded = find_pairs(src)
        matches = {str(file): _HDM05_NAME.fullmatch(file.stem) for file in pairs}
        names = {name: match for name, match in matches.items() if match}
        rates = {name: float(match['fps']) for name, match in names.items() if 0 < float(match['fps']) < 1e4}
        if labels is not None:
            known = find_labels(src, pairs, labels)
        else:
            named = [file for file in pairs if str(file) in names]
            others = [file.name for file in pairs if str(file) not in names]
            if not named:
                raise DataError(f'{src}: no motion has a name such as HDM_bd_cartwheelLHandStart1Reps_001_120.amc; '
                                f'found {others[0]!r}; pass --labels, or convert it as cmu')
            classes = tuple(sorted({names[str(file)]['action'] for file in named}, key=natural_key))
            known = Labels(
                named, classes, {str(file): classes.index(names[str(file)]['action']) for file in named},
                {str(file): dict(subject=names[str(file)]['subject'], take=int(names[str(file)]['take']))
                 for file in named},
                {'the file has another name than a clip': others} if others else {})
        about = dict(source='HDM05', licence=_HDM05_LICENCE)
        return self.recordings(src, known, rates, about, excluded, skeleton, layout, fps, **splits)
