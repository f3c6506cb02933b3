"""Reads every byte of an archive and says what it holds and what is wrong with it."""
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.errors import MMActCLRError
from mmactclr.transforms.adaptation import CLEARLY_UP, PLAUSIBLE_TORSO

from .archive import SkeletonArchive
from .archive_format import INDEX, KEYPOINTS, META, file_sha256
from .splits import PARTS, as_split, split_counts
from .verification_scan import Content, Track, scan
from .verification_summary import describe, some, summary_lines

# what a split of this name keeps apart
KEPT_APART = {'xsub': 'subject', 'xview': 'camera', 'xset': 'setup'}
CLEAN, DUPLICATE_OF = '_clean', 'duplicate_of'
_INTEGERS = ('offset', 'frames', 'persons', 'label')


@dataclass
class ArchiveReport:
    """What :func:`verify_archive` found.

    Attributes:
        path: The archive.
        problems: What makes it unfit for use; empty when all is well.
        warnings: What a user should know, such as test sequences that are declared copies of training ones.
        summary: Lines that describe the content.
        copies: Per split, (test name, training name) of sequences equal to the last bit.
        facts: What the summary says, as numbers and texts by section; empty where the archive cannot be read.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    copies: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the archive can be used."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain data for machines: path, ok, problems, warnings, copies and facts."""
        return dict(path=str(self.path), ok=self.ok, problems=self.problems, warnings=self.warnings,
                    copies={split: [list(pair) for pair in pairs] for split, pairs in self.copies.items()},
                    facts=self.facts)

    def __str__(self) -> str:
        lines = [str(self.path), *(f'  {line}' for line in self.summary)]
        lines += [f'  WARNING: {line}' for line in self.warnings]
        lines += [f'  PROBLEM: {line}' for line in self.problems]
        return '\n'.join([*lines, f'  {"fine" if self.ok else "NOT usable"}'])


def verify_archive(path: str | Path, allow_copies: bool = False, track: Track = iter) -> ArchiveReport:
    """Checks sizes, checksums, coordinates, labels and splits, and looks for copies, in one pass.

    Test sequences that are copies of training sequences are a problem, unless the column ``duplicate_of`` (name of
    the original, or empty) says so.

    Args:
        path: Archive folder.
        allow_copies: Copies are a warning in any case.
        track: Goes through the positions of the sequences, such as a progress bar.

    Never raises for a damaged archive: the report says what is wrong.
    """
    report = ArchiveReport(Path(path))
    try:
        archive = SkeletonArchive.open(path)
        _check_form(archive, report)
        if report.ok:
            content = scan(archive, track)
    except (MMActCLRError, OSError) as error:
        report.problems.append(str(error))
    if not report.ok:
        return report
    report.facts = describe(archive, content)
    report.summary = summary_lines(report.facts)
    _check_checksums(archive, content, report)
    _check_names(archive, report)
    _check_labels(archive, report)
    _check_coordinates(archive, content, report)
    _check_unit(report)
    _check_splits(archive, report)
    _check_copies(archive, content.digests, report, allow_copies)
    return report


def _check_form(archive: SkeletonArchive, report: ArchiveReport) -> None:
    """Types of what the further checks rely on."""
    meta = archive.meta
    for name in _INTEGERS:
        column = archive.column(name)
        if column.dtype.kind not in 'iu':
            report.problems.append(f'{archive.path / INDEX}: column {name!r} is {column.dtype}, expected integers')
        elif name != 'label' and len(column) and column.min() < 0:
            report.problems.append(f'{archive.path / INDEX}: column {name!r} holds {column.min()}, expected 0 or more')
    if not len(archive):
        report.problems.append(f'{archive.path} holds no sequence: convert the data again')
    fps = meta.get('fps')
    if fps is not None and not (isinstance(fps, (int, float)) and 0 < fps < float('inf')):
        report.problems.append(f'{archive.path / META}: fps is {fps!r}, expected a positive number or null')
    for key in ('excluded', 'notes'):
        entry = meta.get(key) or {}
        if not isinstance(entry, dict) or not all(isinstance(names, list) for names in entry.values()):
            report.problems.append(f'{archive.path / META}: {key} is {type(entry).__name__}, expected reasons, each '
                                   'with a list of names')
        elif not all(isinstance(name, str) for names in entry.values() for name in names):
            report.problems.append(f'{archive.path / META}: {key} holds names that are no texts')


def _check_checksums(archive: SkeletonArchive, content: Content, report: ArchiveReport) -> None:
    found = {KEYPOINTS: content.sha256, INDEX: file_sha256(archive.path / INDEX)}
    for name, checksum in found.items():
        if checksum != archive.meta['files'][name]['sha256']:
            report.problems.append(
                f'{archive.path / name} is not the file that was converted (its sha256 differs '
                f'from {META}): convert the data again')


def _names(archive: SkeletonArchive, positions: Sequence[int] | np.ndarray) -> str:
    return some([str(archive.column('name')[i]) for i in positions])


def _check_names(archive: SkeletonArchive, report: ArchiveReport) -> None:
    for what, names in (('sequence', archive.column('name')), ('class', archive.classes)):
        repeated = [f'{name} ({count} times)' for name, count in Counter(map(str, names)).items() if count > 1]
        if repeated:
            report.problems.append(f'{len(repeated)} {what} names are not unique: {some(repeated)}')


def _check_labels(archive: SkeletonArchive, report: ArchiveReport) -> None:
    low, high = (0, len(archive.classes) - 1) if archive.classes else (-1, -1)
    wrong = np.flatnonzero((archive.labels < low) | (archive.labels > high))
    if len(wrong):
        report.problems.append(f'{len(wrong)} labels are outside {low} to {high}: {_names(archive, wrong)}')
    empty = sorted(set(range(len(archive.classes))) - set(archive.labels.tolist()))
    if empty:
        report.warnings.append(f'{len(empty)} classes have no sequence: '
                               f'{some([str(archive.classes[k]) for k in empty])}')


def _check_coordinates(archive: SkeletonArchive, content: Content, report: ArchiveReport) -> None:
    for fault, faulty in content.unusable.items():
        report.problems.append(f'{len(faulty)} sequences {fault}: {_names(archive, faulty)}')
    doubtful: dict[str, Sequence[int] | np.ndarray] = {'of one frame': np.flatnonzero(archive.column('frames') == 1),
                'without motion, all frames are the same': content.motionless}
    for what, positions in doubtful.items():
        if len(positions):
            report.warnings.append(f'{len(positions)} sequences {what}: {_names(archive, positions)}')


def _check_unit(report: ArchiveReport) -> None:
    unit, (low, high) = report.facts['unit'], PLAUSIBLE_TORSO
    torso, flat = unit['torso_metres'], report.facts['layout']['coordinates'] == 2
    if torso is not None and not low <= torso <= high:
        report.warnings.append(f'with unit {unit["name"]!r} the median torso is {torso:.3g} m long, expected {low} to '
                               f'{high} m: convert again with the right unit, or set metres_per_unit')
    if unit['up'] and unit['up'][1] != 'y' and unit['upright'] >= CLEARLY_UP and not flat:
        report.warnings.append(f'torsos point along {unit["up"]}, preparation turns bodies about y: train with '
                               'remap=True, which turns them up')


def _check_splits(archive: SkeletonArchive, report: ArchiveReport) -> None:
    if set(archive.meta['splits']) != set(archive.split_names):
        report.problems.append(f'{META} names the splits {sorted(archive.meta["splits"])}, '
                               f'{INDEX} has {sorted(archive.split_names)}')
    for name in archive.split_names:
        try:
            split = as_split(archive.column(f'split_{name}'), len(archive), name)
        except MMActCLRError as error:
            report.problems.append(str(error))
            continue
        counts = split_counts(split)
        if archive.meta['splits'].get(name, counts) != counts:
            report.problems.append(f'split {name!r} has {counts}, {META} says '
                                   f'{archive.meta["splits"][name]}')
        report.problems += [f'split {name!r} has an empty {part} part'
                            for part in PARTS if not counts[part]]
        column = KEPT_APART.get(name.removesuffix(CLEAN))
        if column in archive.columns:
            train, test = (set(archive.column(column)[split == part].tolist()) for part in PARTS)
            if both := sorted(train & test):
                report.warnings.append(f'split {name!r} has {column} {some([str(value) for value in both])} in both '
                                       'train and test')


def _check_copies(archive: SkeletonArchive, digests: list[bytes], report: ArchiveReport, allowed: bool) -> None:
    names = [str(name) for name in archive.column('name')]
    origin = _origins(archive, names)
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(digests):
        by_digest[digest].append(i)
    groups = [group for group in by_digest.values() if len(group) > 1]
    declared = [(name, original) for name, original in zip(names, _duplicate_of(archive), strict=True)
                if original in origin]
    position = {name: i for i, name in enumerate(names)}
    if wrong := [f'{a} = {b}' for a, b in declared if digests[position[a]] != digests[position[b]]]:
        report.problems.append(f'column {DUPLICATE_OF} names {len(wrong)} copies that differ from their original: '
                               f'{some(wrong)}')
    if not archive.split_names and groups:
        pairs = [(names[i], names[group[0]]) for group in groups for i in group[1:]]
        report.warnings.append(f'{len(pairs)} sequences are exact copies of earlier ones: {_pairs(pairs)}')
    for split_name in archive.split_names:
        split, across = archive.column(f'split_{split_name}'), []
        for part in PARTS:
            inside = [[i for i in group if split[i] == part] for group in groups]
            if pairs := [(names[i], names[same[0]]) for same in inside for i in same[1:]]:
                report.warnings.append(f'split {split_name!r}: {len(pairs)} {part} sequences are exact copies of other '
                                       f'{part} sequences: {_pairs(pairs)}')
        for group in groups:
            train = [names[i] for i in group if split[i] == 'train']
            for test in [names[i] for i in group if split[i] == 'test'] if train else ():
                # of several, one that the archive declares
                across.append((test, next((name for name in train if origin[name] == origin[test]), train[0])))
        if across:
            report.copies[split_name] = sorted(across, key=lambda pair: position[pair[0]])
            _judge_copies(archive, split_name, report, origin, allowed)


def _judge_copies(archive: SkeletonArchive, split: str, report: ArchiveReport, origin: Mapping[str, str],
                  allowed: bool) -> None:
    """A problem where the archive does not declare a copy, or a clean split has any; a warning otherwise."""
    pairs = report.copies[split]
    clean = split.removesuffix(CLEAN) + CLEAN
    says_so = [split != clean and origin[test] == origin[train] for test, train in pairs]
    declared = [pair for pair, said in zip(pairs, says_so, strict=True) if said]
    undeclared = [pair for pair, said in zip(pairs, says_so, strict=True) if not said]
    text = 'test sequences are exact copies of training sequences'
    if declared:
        way_out = (f'split {clean!r} leaves them out' if clean in archive.split_names
                   else f'no split {clean!r} leaves them out')
        report.warnings.append(f'split {split!r}: {len(declared)} {text}, as column {DUPLICATE_OF} says; {way_out}: '
                               f'{_pairs(declared)}')
    if undeclared:
        reason = ('though the name promises that there are none' if split == clean else
                  f'and column {DUPLICATE_OF} does not say so; declare them there, or pass --allow-copies')
        found = report.warnings if allowed else report.problems
        found.append(f'split {split!r}: {len(undeclared)} {text}, {reason}: {_pairs(undeclared)}')


def _pairs(pairs: list[tuple[str, str]]) -> str:
    return some([f'{copy} = {original}' for copy, original in pairs])


def _duplicate_of(archive: SkeletonArchive) -> list[str]:
    if DUPLICATE_OF not in archive.columns:
        return [''] * len(archive)
    return [str(name) for name in archive.column(DUPLICATE_OF)]


def _origins(archive: SkeletonArchive, names: Sequence[str]) -> dict[str, str]:
    """Sequence name to that of the first original; the same one for sequences that are declared to be the same."""
    original = dict(zip(names, _duplicate_of(archive), strict=True))

    def origin(name: str) -> str:
        chain = [name]
        while (before := original.get(chain[-1], '')) and before not in chain:
            chain.append(before)
        # two that name each other have no first one
        return min(chain[chain.index(before):]) if before in chain else chain[-1]

    return {name: origin(name) for name in names}
