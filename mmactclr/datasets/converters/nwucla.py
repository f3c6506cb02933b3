"""Northwestern-UCLA Multiview Action 3D from the JSON files of the folder ``all_sqe``."""
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.splits import without_copies
from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS

from .file_converter import Clip, FileConverter, Recordings
from .json_source import load_json
from .naming import numbers_in, select_named
from .source_files import SourceFile, find_files

FPS = 30
LICENCE = 'research use (Wang, Nie, Xia, Wu, Zhu, CVPR 2014)'
JOINTS = 20
#: Number of the action in file names -> class name; numbers 7 and 10 do not exist.
ACTIONS = {1: 'pick up with one hand', 2: 'pick up with two hands', 3: 'drop trash', 4: 'walk around', 5: 'sit down',
           6: 'stand up', 8: 'donning', 9: 'doffing', 11: 'throw', 12: 'carry'}
_POSITION = {action: position for position, action in enumerate(ACTIONS)}
_NAME = re.compile(rf'a(?P<action_code>{"|".join(f"{action:02}" for action in ACTIONS)})'
                   r'_s(?P<subject>\d{2})_e(?P<episode>\d{2})_v(?P<camera>\d{2})')
_TEST_CAMERA = 3
_LARGEST = float(np.finfo(np.float32).max)


def read_sequence(file: SourceFile) -> list[Clip]:
    """The clip of one JSON file.

    Raises:
        DataError: The file is damaged, or contradicts its name; the message names the field and the frame.
    """
    numbers = numbers_in(_NAME, file.stem)
    fields = load_json(file.read(), file)
    if not isinstance(fields, dict):
        raise DataError(f'{file}: JSON of type {type(fields).__name__}, expected fields skeletons, label, file_name')
    position = _POSITION[numbers['action_code']]
    for name, expected in (('label', position + 1), ('file_name', file.stem)):
        value = fields.get(name)
        if type(value) is not type(expected) or value != expected:
            raise DataError(f'{file}: field {name} is {_shown(value)}, expected {expected!r} as the file is named')
    keypoint = _joints(fields.get('skeletons'), file)
    content = hashlib.sha256(keypoint.tobytes()).hexdigest()
    return [Clip(keypoint, file.stem, position, dict(numbers, content=content))]


def _joints(frames: Any, file: object) -> np.ndarray:
    """(1, T, 20, 3) float32 of nested lists."""
    _check_list(frames, None, file, 'skeletons')
    for t, frame in enumerate(frames):
        _check_list(frame, JOINTS, file, f'skeletons, frame {t}')
        for v, joint in enumerate(frame):
            _check_list(joint, 3, file, f'skeletons, frame {t}, joint {v}')
            for value in joint:
                # true and "1" would pass for numbers; NaN fails the comparison
                if type(value) not in (int, float) or not abs(value) <= _LARGEST:
                    raise DataError(f'{file}: field skeletons, frame {t}, joint {v}: {_shown(value)}, expected a '
                                    'finite number')
    return np.array(frames, dtype=np.float32).reshape(1, -1, JOINTS, 3)


def _check_list(value: Any, length: int | None, file: object, place: str) -> None:
    if not isinstance(value, list) or (len(value) != length if length else not value):
        found = f'{len(value)} entries' if isinstance(value, list) else _shown(value)
        raise DataError(f'{file}: field {place}: {found}, expected a list of {length or "frames"}'
                        + (' entries' if length else ''))


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f'{text[:40]} ...'


@CONVERTERS.register_module('nwucla')
class NWUCLAConverter(FileConverter):
    """Northwestern-UCLA, JSON files of the folder all_sqe, in folders or zips."""

    def find(self, src: Path) -> Recordings:
        """Looks for JSON files named as ``a01_s01_e00_v01.json``.

        Args:
            src: Folder, zip or file.

        Raises:
            DataError: There is none.
        """
        files, excluded = select_named(src, find_files(src, '*.json'), _NAME, 'a01_s01_e00_v01.json')
        return Recordings(files, read_sequence, 'kinect20_nwucla', tuple(ACTIONS.values()), _splits,
                          dict(fps=FPS, source='Northwestern-UCLA Multiview Action 3D', licence=LICENCE), excluded)


def _splits(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cross-view, all of it and without copies; puts ``duplicate_of`` in the place of the hash of the content."""
    xview = np.where(columns['camera'] == _TEST_CAMERA, 'test', 'train')
    content, names = columns.pop('content'), columns['name']
    # of three that are equal, a training sequence is the original of the others
    order = np.argsort(xview != 'train', kind='stable')
    first: dict[str, int] = {}
    copied = np.full(len(names), -1)
    for i in order.tolist():
        original = first.setdefault(str(content[i]), i)
        copied[i] = original if original != i else -1
    columns['duplicate_of'] = np.where(copied >= 0, names[copied], '')
    return {'xview': xview, 'xview_clean': without_copies(xview, copied)}
