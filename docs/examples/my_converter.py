"""A converter of one's own: CLASS/SUBJECT_*.npy, arrays (persons, frames, 25, 3) in metres."""

from pathlib import Path

import numpy as np

from mmactclr.datasets import ArchiveWriter
from mmactclr.datasets.converters import BaseConverter
from mmactclr.registry import CONVERTERS


@CONVERTERS.register_module('npyfolder')
class NpyFolderConverter(BaseConverter):
    """A folder per class, one npy file per sequence."""

    def convert(self, src, dst, *, overwrite=False, strict=False):
        files = sorted(Path(src).glob('*/*.npy'))
        classes = sorted({file.parent.name for file in files})
        subjects = [file.stem.split('_')[0] for file in files]
        training = set(sorted(set(subjects))[::2])
        with ArchiveWriter(
            dst, 'ntu25', classes=classes, overwrite=overwrite, strict=strict
        ) as writer:
            for file, subject in zip(self.track(files, 'reading'), subjects, strict=True):
                writer.add(
                    np.load(file),
                    label=classes.index(file.parent.name),
                    name=file.stem,
                    subject=subject,
                )
            return writer.finish(
                {'xsub': ['train' if subject in training else 'test' for subject in subjects]}
            )
