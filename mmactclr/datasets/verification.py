"""Reads every byte of an archive and says what is wrong with it."""
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmactclr.errors import MMActCLRError

from .archive import SkeletonArchive
from .archive_format import INDEX, KEYPOINTS, META, file_sha256
from .splits import PARTS, as_split, split_counts


@dataclass
class ArchiveReport:
    """What :func:`verify_archive` found.

    Attributes:
        path: The archive.
        problems: What makes it unfit for use; empty when all is well.
        warnings: What a user should know, such as test sequences that are copies of training ones.
        summary: Lines that describe the content.
        copies: Per split, (test name, training name) of sequences equal to the last bit.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    copies: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the archive can be used."""
        return not self.problems

    def __str__(self) -> str:
        lines = [str(self.path), *(f'  {line}' for line in self.summary)]
        lines += [f'  WARNING: {line}' for line in self.warnings]
        lines += [f'  PROBLEM: {line}' for line in self.problems]
        return '\n'.join([*lines, f'  {"fine" if self.ok else "NOT usable"}'])


def verify_archive(path: str | Path) -> ArchiveReport:
    """Checks sizes, checksums, coordinates, labels and splits, and looks for copies.

    Never raises for a damaged archive: the report says what is wrong.
    """
    report = ArchiveReport(Path(path))
    try:
        archive = SkeletonArchive.open(path)
    except MMActCLRError as error:
        report.problems.append(str(error))
        return report
    for name in (KEYPOINTS, INDEX):
        if file_sha256(archive.path / name) != archive.meta['files'][name]['sha256']:
            report.problems.append(
                f'{archive.path / name} is not the file that was converted (its sha256 differs '
                f'from {META}): convert the data again')
    report.summary = _describe(archive)
    _check_labels(archive, report)
    digests = _check_coordinates(archive, report)
    _check_splits(archive, report, digests)
    return report


def _some(names: list[str]) -> str:
    return ', '.join(names[:10]) + (f' and {len(names) - 10} more' if len(names) > 10 else '')


def _describe(archive: SkeletonArchive) -> list[str]:
    frames, persons = archive.column('frames'), archive.column('persons')
    meta, layout = archive.meta, archive.layout
    sizes = Counter(archive.labels.tolist()).values()
    lines = [
        f'{len(archive)} sequences, {frames.sum()} frames, {archive.path / KEYPOINTS}: '
        f'{archive.meta["files"][KEYPOINTS]["bytes"] / 2**20:.1f} MiB',
        f'layout   {layout.name}: {layout.num_joints} joints, {archive.num_axes} coordinates, unit '
        f'{meta.get("unit")}, centre {layout.joints[layout.centre]}',
        f'classes  {len(archive.classes)}'
        + (f', {min(sizes)} to {max(sizes)} sequences each' if archive.classes else ''),
        f'lengths  {frames.min()} to {frames.max()} frames, median {np.median(frames):g}'
        + (f', at {meta["fps"]:g} frames per second' if meta.get('fps') else ''),
        'persons  ' + ', '.join(f'{n} in {count} sequences'
                                for n, count in sorted(Counter(persons.tolist()).items())),
        f'columns  {", ".join(archive.columns)}',
    ]
    for name in archive.split_names:
        counts = split_counts(archive.column(f'split_{name}'))
        rest = len(archive) - sum(counts.values())
        lines.append(f'split    {name}: {counts["train"]} train, {counts["test"]} test'
                     + (f', {rest} in neither' if rest else ''))
    if not archive.split_names:
        lines.append('split    none')
    for fault, names in meta.get('excluded', {}).items():
        lines.append(f'left out {len(names)} at conversion ({fault}): {_some(names)}')
    for key in ('source', 'licence'):
        lines.append(f'{key:8} {meta.get(key) or "not stated"}')
    return [*lines, f'checksum {archive.checksum}']


def _check_labels(archive: SkeletonArchive, report: ArchiveReport) -> None:
    low, high = (0, len(archive.classes) - 1) if archive.classes else (-1, -1)
    wrong = np.flatnonzero((archive.labels < low) | (archive.labels > high))
    if len(wrong):
        report.problems.append(f'{len(wrong)} labels are outside {low} to {high}: '
                               f'{_some(archive.column("name")[wrong].tolist())}')
    empty = sorted(set(range(len(archive.classes))) - set(archive.labels.tolist()))
    if empty:
        report.warnings.append(f'{len(empty)} classes have no sequence: '
                               f'{_some([archive.classes[k] for k in empty])}')


def _check_coordinates(archive: SkeletonArchive, report: ArchiveReport) -> list[bytes]:
    """Looks at every coordinate; returns a digest of every sequence."""
    names, digests = archive.column('name'), []
    faults: dict[str, list[str]] = defaultdict(list)
    for i, name in enumerate(names):
        sequence = archive.sequence(i)
        if not sequence.size:
            faults['without frames'].append(str(name))
        elif not np.isfinite(sequence).all():
            faults['with coordinates that are not finite'].append(str(name))
        elif not sequence.any():
            faults['with nobody in any frame'].append(str(name))
        digests.append(hashlib.sha256(repr(sequence.shape).encode() + sequence.tobytes()).digest())
    for fault, faulty in faults.items():
        report.problems.append(f'{len(faulty)} sequences {fault}: {_some(faulty)}')
    return digests


def _check_splits(archive: SkeletonArchive, report: ArchiveReport, digests: list[bytes]) -> None:
    names = archive.column('name')
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
        training = {digests[i]: str(names[i]) for i in np.flatnonzero(split == 'train')}
        copies = [(str(names[i]), training[digests[i]])
                  for i in np.flatnonzero(split == 'test') if digests[i] in training]
        if copies:
            report.copies[name] = copies
            shown = _some([f'{test} = {train}' for test, train in copies])
            report.warnings.append(f'split {name!r}: {len(copies)} test sequences are exact copies '
                                   f'of training sequences: {shown}')
