"""UTD-MHAD from the authors' ``.mat`` files of skeletons."""
import re
from pathlib import Path

import numpy as np

from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS

from .file_converter import Clip, FileConverter, Recordings
from .mat_file import read_mat
from .naming import numbers_in, select_named
from .source_files import SourceFile, find_files

FPS = 30
LICENCE = 'freely available, no licence text; cite Chen, Jafari, Kehtarnavaz, ICIP 2015'
JOINTS = 20
CLASSES = (
    'right arm swipe to the left', 'right arm swipe to the right', 'right hand wave', 'two hand front clap',
    'right arm throw', 'cross arms in the chest', 'basketball shoot', 'right hand draw x',
    'right hand draw circle (clockwise)', 'right hand draw circle (counter clockwise)', 'draw triangle',
    'bowling (right hand)', 'front boxing', 'baseball swing from right', 'tennis right hand forehand swing',
    'arm curl (two arms)', 'tennis serve', 'two hand push', 'right hand knock on door',
    'right hand catch an object', 'right hand pick up and throw', 'jogging in place', 'walking in place',
    'sit to stand', 'stand to sit', 'forward lunge (left foot forward)', 'squat (two arms stretch out)')
_VARIABLE = 'd_skel'
_NAME = re.compile(r'a(?P<action>\d{1,2})_s(?P<subject>\d)_t(?P<trial>\d)_skeleton')


def read_recording(file: SourceFile) -> list[Clip]:
    """The clip of one ``.mat`` file.

    Raises:
        DataError: The file is damaged, or its array is not (20, 3, T).
    """
    numbers = numbers_in(_NAME, file.stem)
    joints = read_mat(file.read(), file, _VARIABLE)
    if joints.ndim == 2:
        # MATLAB keeps no trailing dimension of one: a recording of one frame
        joints = joints[:, :, None]
    if joints.ndim != 3 or joints.shape[:2] != (JOINTS, 3):
        raise DataError(f'{file}: variable {_VARIABLE!r} has shape {joints.shape}, expected ({JOINTS}, 3, frames)')
    with np.errstate(over='ignore'):
        keypoint = joints.transpose(2, 0, 1)[None].astype(np.float32)
    return [Clip(keypoint, file.stem.removesuffix('_skeleton'), numbers.pop('action') - 1, numbers)]


@CONVERTERS.register_module('utdmhad')
class UTDMHADConverter(FileConverter):
    """UTD-MHAD, .mat files of skeletons, in folders or zips."""

    def find(self, src: Path) -> Recordings:
        """Looks for files named as ``a1_s1_t1_skeleton.mat``.

        Args:
            src: Folder, zip or file.

        Raises:
            DataError: There is none.
        """
        files, excluded = select_named(src, find_files(src, '*.mat'), _NAME, 'a1_s1_t1_skeleton.mat')
        return Recordings(files, read_recording, 'kinect20_utdmhad', CLASSES, _splits,
                          dict(fps=FPS, source='UTD-MHAD', licence=LICENCE), excluded)


def _splits(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {'xsub': np.where(columns['subject'] % 2 == 1, 'train', 'test')}
