"""MSR Action3D from the text files of joints in real-world coordinates."""
import re
from pathlib import Path

import numpy as np

from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS

from .file_converter import Clip, FileConverter, Recordings
from .naming import numbers_in, select_named
from .source_files import SourceFile, find_files
from .table import parse_table

# "Action Recognition Based on A Bag of 3D Points" (Li, Zhang, Liu, CVPRW 2010), section 4.
FPS = 15
LICENCE = 'research use; cite Li, Zhang, Liu, CVPR workshops 2010'
JOINTS = 20
CLASSES = ('high arm wave', 'horizontal arm wave', 'hammer', 'hand catch', 'forward punch', 'high throw', 'draw x',
           'draw tick', 'draw circle', 'hand clap', 'two hand wave', 'side boxing', 'bend', 'forward kick',
           'side kick', 'jogging', 'tennis swing', 'tennis serve', 'golf swing', 'pick up and throw')
#: Numbers of the actions in the three subsets, Table 1 of the paper.
SUBSETS = {'as1': (2, 3, 5, 6, 10, 13, 18, 20), 'as2': (1, 4, 7, 8, 9, 11, 12, 14),
           'as3': (6, 14, 15, 16, 17, 18, 19, 20)}
_NAME = re.compile(r'a(?P<action>\d{2})_s(?P<subject>\d{2})_e(?P<episode>\d{2})_skeleton3D', re.IGNORECASE)


def read_recording(file: SourceFile) -> list[Clip]:
    """The clip of one file.

    Raises:
        DataError: The file is damaged; the message names the line.
    """
    numbers = numbers_in(_NAME, file.stem)
    table = parse_table(file.read(), file, 4, 'x y z confidence of a joint')
    if len(table) % JOINTS:
        raise DataError(f'{file}, line {len(table)}: the file ends within a frame, expected {JOINTS} lines a frame')
    keypoint = table[:, :3].reshape(1, -1, JOINTS, 3).astype(np.float32)
    name = re.sub('_skeleton3d', '', file.stem, flags=re.IGNORECASE)
    return [Clip(keypoint, name, numbers.pop('action') - 1, numbers)]


@CONVERTERS.register_module('msraction3d')
class MSRAction3DConverter(FileConverter):
    """MSR Action3D, text files of joints in real-world coordinates, in folders or zips."""

    def find(self, src: Path) -> Recordings:
        """Looks for files named as ``a01_s01_e01_skeleton3D.txt``.

        Args:
            src: Folder, zip or file.

        Raises:
            DataError: There is none.
        """
        files, excluded = select_named(src, find_files(src, '*.txt'), _NAME, 'a01_s01_e01_skeleton3D.txt (the '
                                       'real-world coordinates, not those of the screen)')
        return Recordings(files, read_recording, 'kinect20_msraction3d', CLASSES, _splits,
                          dict(fps=FPS, source='MSR Action3D', licence=LICENCE), excluded)


def _splits(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cross-subject on all actions, and on each of the three subsets; what is not in a subset is in neither part."""
    xsub = np.where(columns['subject'] % 2 == 1, 'train', 'test')
    splits = {'xsub': xsub}
    for subset, actions in SUBSETS.items():
        splits[f'{subset}_xsub'] = np.where(np.isin(columns['label'] + 1, actions), xsub, '')
    return splits
