"""PKU-MMD I and II from the authors' text files: clips of one action each, or the untrimmed videos."""
import argparse
import functools
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.pkummd_classes import PKUMMD_CLASSES
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS

from .file_converter import Clip, FileConverter, Recordings
from .naming import folders_below, numbers_in, select_named
from .paired_file import PairedFile
from .pkummd_text import parse_split, video_clips, video_sequence
from .source_files import SourceFile, find_files

FPS = 30
LICENCE = 'academic research only; to be requested from the authors, Wangxuan Institute, Peking University'
VIEWS = ('L', 'M', 'R')
OUTPUTS = ('clips', 'sequences')
# Part II names the subject after N: 26 recordings of each of 13 subjects, from 3 views.
_PARTS = {'I': re.compile(r'\d{4}-[LMR]'), 'II': re.compile(r'A\d{2}N(?P<subject>\d{2})-[LMR]')}
_NAME = re.compile('|'.join(pattern.pattern.replace('?P<subject>', '') for pattern in _PARTS.values()))
_EXAMPLE = '0002-L.txt (part I) or A01N01-M.txt (part II)'
_SPLIT_FILE = re.compile(r'cross[-_](subject|view)(_v2)?', re.IGNORECASE)
_SPLITS = {'subject': 'xsub', 'view': 'xview'}
_TEST_VIEW = 'L'
_NO_LABELS, _NO_SKELETON = 'no label file of this name', 'labels without a skeleton file'


def read_video(file: PairedFile, part: str, output: str) -> list[Clip]:
    """Clips of one video, or the video as one.

    Args:
        file: The skeleton file, paired with its label file.
        part: ``I`` or ``II``.
        output: One of ``OUTPUTS``.

    Raises:
        DataError: One of the two is damaged; the message names file and line.
    """
    columns = dict(video=file.stem, view=file.stem[-1], **numbers_in(_PARTS[part], file.stem))
    read = video_clips if output == 'clips' else video_sequence
    return read(file.read(), file.partner.read(), file, file.partner, columns)


@CONVERTERS.register_module('pkummd')
class PKUMMDConverter(FileConverter):
    """PKU-MMD part I or II: skeleton, label and split files of the authors, in folders or zips."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds what becomes a sequence."""
        super().add_arguments(parser)
        parser.add_argument('--as', dest='output', choices=OUTPUTS, default='clips',
                            help='clips: one sequence a labelled interval (default); sequences: one a video, with the '
                            'intervals in the column "segments"')

    def find(self, src: Path, *, output: str = 'clips') -> Recordings:
        """Looks for skeleton, label and split files; what lies below a folder ``label...`` is a label file.

        Args:
            src: Folder or zip of one part.
            output: One of ``OUTPUTS``.

        Raises:
            DataError: There are no videos or no labels, both parts lie there, or a split file is damaged.
            ConfigError: ``output`` is something else.
        """
        if output not in OUTPUTS:
            raise ConfigError(f'output is {output!r}, expected one of {", ".join(OUTPUTS)}')
        texts = find_files(src, '*.txt')
        split_files = [file for file in texts if _SPLIT_FILE.fullmatch(file.stem)]
        named, excluded = select_named(src, [file for file in texts if file not in split_files], _NAME, _EXAMPLE)
        part = _part_of(src, named)
        pairs, unpaired = _pair(src, named)
        rules = _listed_splits(split_files, part)
        rules.update({name: 'middle and right views train, left view tests' for name in ['xview']
                      if part == 'I' and name not in rules})
        _report(src, rules, pairs)
        classes = () if output == 'sequences' else PKUMMD_CLASSES
        # untrimmed videos have no class: an archive without classes may hold them
        extra = dict(part=part, output=output, segment_classes=list(PKUMMD_CLASSES) if not classes else [],
                     splits={name: rule if isinstance(rule, str) else 'split file' for name, rule in rules.items()})
        return Recordings(
            pairs, functools.partial(read_video, part=part, output=output), 'ntu25', classes,
            functools.partial(_splits, rules=rules),
            dict(fps=FPS, source=f'PKU-MMD part {part}', licence=LICENCE, extra=extra), {**excluded, **unpaired})


def _part_of(src: Path, files: Sequence[SourceFile]) -> str:
    examples = {part: file.stem for part, pattern in _PARTS.items() for file in files if pattern.fullmatch(file.stem)}
    if len(examples) > 1:
        raise DataError(f'{src} holds both parts ({examples["I"]}, {examples["II"]}): convert the folder of each by '
                        'itself')
    return next(iter(examples))


def _pair(src: Path, files: Sequence[SourceFile]) -> tuple[list[PairedFile], dict[str, list[str]]]:
    """Videos with their labels, and what has no counterpart."""
    labels = {file.stem: file for file in files if _is_label(src, file)}
    skeletons = [file for file in files if not _is_label(src, file)]
    pairs = [PairedFile.of(file, labels[file.stem]) for file in skeletons if file.stem in labels]
    if not pairs:
        raise DataError(f'{src} has {len(skeletons)} skeleton and {len(labels)} label files, none of the same name: '
                        'expected the label files in a folder or zip with "label" in its name, the others not')
    videos = {file.stem for file in skeletons}
    unpaired = {_NO_LABELS: [file.stem for file in skeletons if file.stem not in labels],
                _NO_SKELETON: [name for name in labels if name not in videos]}
    return pairs, {reason: names for reason, names in unpaired.items() if names}


def _is_label(src: Path, file: SourceFile) -> bool:
    """Whether the innermost folder that says what it holds says labels."""
    for folder in reversed(folders_below(src, file)):
        if 'label' in folder.lower():
            return True
        if 'skel' in folder.lower():
            return False
    return False


def _listed_splits(files: Sequence[SourceFile], part: str) -> dict[str, dict[str, str] | str]:
    """Split -> video -> part of the split, from the split files that list videos of this part of the data."""
    found: dict[str, dict[str, str] | str] = {}
    origin: dict[str, SourceFile] = {}
    for file in files:
        listed = parse_split(file.read(), file, _NAME)
        if not any(_PARTS[part].fullmatch(name) for name in listed):
            continue
        match = _SPLIT_FILE.fullmatch(file.stem)
        name = _SPLITS[match.group(1).lower()] if match else ''
        if name in found and found[name] != listed:
            raise DataError(f'{origin[name]} and {file} are different lists for split {name}: keep one of them')
        found[name], origin[name] = listed, file
    return found


def _report(src: Path, rules: Mapping[str, Mapping[str, str] | str], pairs: Sequence[PairedFile]) -> None:
    videos = {pair.stem for pair in pairs}
    for name in _SPLITS.values():
        rule = rules.get(name)
        if rule is None:
            print_log(f'{src}: no split {name}: put the split file of the authors (cross-'
                      f'{"subject" if name == "xsub" else "view"}.txt) beside the data', logger='current',
                      level=logging.WARNING)
        elif isinstance(rule, str):
            print_log(f'{src}: no split file for {name}, made by the published rule: {rule}', logger='current')
        else:
            print_log(f'{src}: split file for {name}: {len(rule)} videos listed, {len(rule.keys() - videos)} of them '
                      f'not here, {len(videos - rule.keys())} here that are not listed', logger='current')


def _splits(columns: dict[str, np.ndarray], rules: Mapping[str, Mapping[str, str] | str]) -> dict[str, np.ndarray]:
    splits = {}
    for name, rule in rules.items():
        if isinstance(rule, str):
            splits[name] = np.where(columns['view'] == _TEST_VIEW, 'test', 'train')
        else:
            splits[name] = np.array([rule.get(video, '') for video in columns['video'].tolist()])
    return splits
