"""UI-PRMD from the authors' Kinect files: local positions and angles, brought to absolute positions."""
import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS

from .file_converter import Clip, FileConverter, Recordings
from .naming import folders_below, numbers_in, select_named
from .paired_file import PairedFile
from .source_files import SourceFile, find_files
from .table import parse_table

FPS = 30
LICENCE = 'Open Data Commons Public Domain Dedication and License 1.0'
JOINTS = 22
METRES_PER_UNIT = .01
CLASSES = ('deep squat', 'hurdle step', 'inline lunge', 'side lunge', 'sit to stand',
           'standing active straight leg raise', 'standing shoulder abduction', 'standing shoulder extension',
           'standing shoulder internal-external rotation', 'standing shoulder scaption')
_TRAIN_SUBJECTS = range(1, 6)
_INCORRECT = '_inc'
_NAME = re.compile(r'm(?P<movement>\d{2})_s(?P<subject>\d{2})_e(?P<episode>\d{2})_(?:positions|angles)(?:_inc)?')
_VICON, _NO_PARTNER = 'recorded with Vicon, of other joints', 'positions or angles are missing'
_WRONG = 'an incorrect execution'

# (joint, its parent, the joints whose angles turn the bone between them, outermost first): the chains of Animation.m,
# which the authors publish with the data. Both arms start from the chest's own angle, without those of waist and spine.
_CHAINS = ((1, 0, (0,)), (2, 1, (0, 1)), (3, 2, (0, 1, 2)), (4, 3, (0, 1, 2, 3)), (5, 4, (0, 1, 2, 3, 4)),
           (6, 2, (2,)), (7, 6, (2, 6)), (8, 7, (2, 6, 7)), (9, 8, (2, 6, 7, 8)),
           (10, 2, (2,)), (11, 10, (2, 10)), (12, 11, (2, 10, 11)), (13, 12, (2, 10, 11, 12)),
           (14, 0, (0,)), (15, 14, (0, 14)), (16, 15, (0, 14, 15)), (17, 16, (0, 14, 15, 16)),
           (18, 0, (0,)), (19, 18, (0, 18)), (20, 19, (0, 18, 19)), (21, 20, (0, 18, 19, 20)))


def absolute_positions(local: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Forward kinematics of the authors' ``Animation.m``.

    Args:
        local: (T, 22, 3) position of every joint in the frame of its parent; that of the waist is absolute.
        angles: (T, 22, 3) degrees about x, y and z; a joint's rotation is Rz Ry Rx and turns what hangs on it.

    Returns:
        (T, 22, 3) float64, in the unit of ``local``.
    """
    turns = _rotations(np.deg2rad(angles))
    places = np.array(local, dtype=np.float64)
    for joint, parent, turning in _CHAINS:
        bone = places[:, joint, :, None]
        for turn in reversed(turning):
            bone = turns[:, turn] @ bone
        places[:, joint] = places[:, parent] + bone[..., 0]
    return places


def _rotations(angles: np.ndarray) -> np.ndarray:
    """Rz Ry Rx of (..., 3) radians about x, y and z, (..., 3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    rows = ((cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
            (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz),
            (-sy, sx * cy, cx * cy))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def read_execution(file: PairedFile) -> list[Clip]:
    """The clip of a file of positions and its partner, the file of angles.

    Raises:
        DataError: A file is damaged, or they differ in length; the message names the line, or both files.
    """
    local, angles = _parse(file.read(), file), _parse(file.partner.read(), file.partner)
    if len(local) != len(angles):
        raise DataError(f'{file}, line {len(local)}: the last of {len(local)} frames, but {file.partner} has '
                        f'{len(angles)}: the two belong together and must be of one length')
    numbers = numbers_in(_NAME, file.stem)
    keypoint = (absolute_positions(local, angles) * METRES_PER_UNIT).astype(np.float32)[None]
    name = file.stem.replace('_positions', '')
    columns = dict(numbers, is_correct=int(not name.endswith(_INCORRECT)))
    return [Clip(keypoint, name, numbers['movement'] - 1, columns)]


def _parse(content: bytes, file: object) -> np.ndarray:
    """(T, 22, 3) of a text file with one line a frame."""
    return parse_table(content, file, JOINTS * 3, 'x,y,z of 22 joints', b',').reshape(-1, JOINTS, 3)


@CONVERTERS.register_module('uiprmd')
class UIPRMDConverter(FileConverter):
    """UI-PRMD, segmented movements of the Kinect (positions and angles), in folders or zips."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the choice of correct executions."""
        super().add_arguments(parser)
        parser.add_argument('--correct-only', action='store_true', help='leave out the incorrect executions')

    def find(self, src: Path, *, correct_only: bool = False) -> Recordings:
        """Looks for files of positions and angles, correct and incorrect; those of Vicon are left out.

        Args:
            src: Folder or zip.
            correct_only: Leave out the incorrect executions.

        Raises:
            DataError: There is no pair of positions and angles.
        """
        kinect: list[SourceFile] = []
        vicon: list[SourceFile] = []
        for file in find_files(src, '*.txt'):
            (vicon if any('vicon' in folder.lower() for folder in folders_below(src, file)) else kinect).append(file)
        if not kinect:
            raise DataError(f'{src}: all {len(vicon)} files lie in a folder "Vicon", expected files of the Kinect')
        named, excluded = select_named(src, kinect, _NAME, 'm01_s01_e01_positions.txt')
        pairs, alone = _pair(named)
        wrong = [pair.stem for pair in pairs if correct_only and pair.stem.endswith(_INCORRECT)]
        if wrong:
            pairs = [pair for pair in pairs if not pair.stem.endswith(_INCORRECT)]
        if not pairs:
            raise DataError(f'{src}: {len(named)} files of the Kinect, but no pair such as m01_s01_e01_positions.txt '
                            f'and m01_s01_e01_angles.txt, {len(wrong)} incorrect executions aside')
        excluded.update({reason: names for reason, names in (
            (_VICON, [file.stem for file in vicon]), (_NO_PARTNER, alone), (_WRONG, wrong)) if names})
        return Recordings(pairs, read_execution, 'uiprmd22', CLASSES, _splits,
                          dict(fps=FPS, source='UI-PRMD, Kinect', licence=LICENCE), excluded)


def _pair(files: Sequence[SourceFile]) -> tuple[list[PairedFile], list[str]]:
    """Positions with their angles, and the names of those that are alone."""
    angles = {file.stem.replace('_angles', ''): file for file in files if '_angles' in file.stem}
    positions = [file for file in files if '_positions' in file.stem]
    pairs, alone = [], []
    for file in positions:
        partner = angles.pop(file.stem.replace('_positions', ''), None)
        if partner is None:
            alone.append(file.stem)
        else:
            pairs.append(PairedFile.of(file, partner))
    return pairs, [*alone, *(file.stem for file in angles.values())]


def _splits(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {'xsub': np.where(np.isin(columns['subject'], _TRAIN_SUBJECTS), 'train', 'test')}
