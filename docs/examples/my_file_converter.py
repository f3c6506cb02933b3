"""A converter of your own for many files: CLASS/SUBJECT_*.txt, a line a frame, x y z of one joint after another."""
from functools import partial

import numpy as np

from mmactclr.datasets.converters import Clip, FileConverter, Recordings, find_files
from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS


def read_txt(file, classes):
    """The clip of one file; runs in a worker process."""
    try:
        frames = np.loadtxt(file.read().decode().splitlines(), ndmin=2)
        keypoint = frames.reshape(1, len(frames), 25, 3)
    except ValueError as error:
        raise DataError(f'{file}: {error}; expected 75 numbers a line') from error
    subject = file.stem.split('_')[0]
    return [Clip(keypoint, file.stem, classes.index(file.folders[-1]), dict(subject=subject))]


def split(columns):
    """Every other subject trains."""
    subjects = np.unique(columns['subject'])
    return {'xsub': np.where(np.isin(columns['subject'], subjects[::2]), 'train', 'test')}


@CONVERTERS.register_module('txtfolder')
class TextFolderConverter(FileConverter):
    """A folder per class, one text file per sequence."""

    def find(self, src):
        files = find_files(src, '*.txt')
        classes = sorted({file.folders[-1] for file in files})
        return Recordings(files, partial(read_txt, classes=classes), 'ntu25', classes, split, dict(fps=30))
