"""A converter: one JSON file a recording, with its class, its subject and 25 joints a frame."""
import argparse
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from mmactclr.datasets.converters import Clip, FileConverter, Recordings, SourceFile, find_files
from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS


def read_take(file: SourceFile) -> dict[str, Any]:
    """``{"class": ..., "subject": ..., "frames": [[[x, y, z], ...], ...]}``, in metres."""
    try:
        take = json.loads(file.read())
        frames = np.asarray(take['frames'], dtype=np.float32)
        if frames.shape != (len(frames), 25, 3):
            raise ValueError(f'frames have shape {frames.shape}, expected (T, 25, 3)')
        return dict(frames=frames, name=str(take['class']), subject=str(take['subject']))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{file}: {type(error).__name__}: {error}') from error


def read_clip(file: SourceFile, classes: list[str]) -> list[Clip]:
    """The recording of one file; runs in a worker process."""
    take = read_take(file)
    return [Clip(take['frames'][None], file.stem, classes.index(take['name']), dict(subject=take['subject']))]


def split(columns: Mapping[str, np.ndarray], test: list[str]) -> dict[str, np.ndarray]:
    """Subjects that test, all others train."""
    return {'xsub': np.where(np.isin(columns['subject'], test), 'test', 'train')}


@CONVERTERS.register_module('takejson')
class TakeJSONConverter(FileConverter):
    """One JSON file a recording, 25 joints as in NTU RGB+D."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of this format to those of every file converter."""
        super().add_arguments(parser)
        parser.add_argument('--test-subjects', nargs='+', required=True, metavar='SUBJECT', help='who is tested on')

    def find(self, src: Any, test_subjects: list[str]) -> Recordings:
        """List the recordings; every file is read for its class."""
        files = find_files(src, '*.json')
        classes = sorted({read_take(file)['name'] for file in files})
        return Recordings(files, partial(read_clip, classes=classes), 'ntu25', classes,
                          partial(split, test=test_subjects), dict(fps=30))
