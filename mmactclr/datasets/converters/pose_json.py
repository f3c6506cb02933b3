"""What pose estimators write about a video: detections frame by frame."""
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmactclr.errors import DataError

_LARGEST = float(np.finfo(np.float32).max)
# How much of what was found a message shows.
_SHOWN = 200
# Ten hours at 60 frames per second, and people in one of them.
_MOST_FRAMES, _MOST_PEOPLE = 2_160_000, 1000
_WORLD = ('pose_world_landmarks', 'world_landmarks', 'poseWorldLandmarks', 'worldLandmarks')
_IMAGE = ('pose_landmarks', 'landmarks', 'poseLandmarks')
_TRACK = ('track_id', 'idx', 'person_id')
# Lists of people in a frame, and where a person's joints are in them: OpenPose and AlphaPose's "open", its "cmu".
_PEOPLE = {'people': 'pose_keypoints_2d', 'bodies': 'joints'}


@dataclass(frozen=True)
class Detection:
    """One person in one frame.

    Attributes:
        points: (V, C) coordinates.
        scores: (V,) how sure the estimator is of every joint; ones where it does not say.
        track: Who it is, None where the estimator does not follow people.
    """

    points: np.ndarray
    scores: np.ndarray
    track: str | None = None


@dataclass(frozen=True)
class Video:
    """Detections of a video.

    Attributes:
        frames: Detections by number of the frame.
        unit: ``pixel``, ``m``, or ``image`` for shares of width and height.
        fps: Frames per second, None if not said.
    """

    frames: dict[int, list[Detection]] = field(default_factory=dict)
    unit: str = 'pixel'
    fps: float | None = None


def parse_pose(content: Any, file: object) -> Video:
    """Detections from what :func:`load_json` read.

    Known are results of AlphaPose and COCO, predictions of MMPose, landmarks of MediaPipe and frames of OpenPose.

    Raises:
        DataError: It is of none of these forms, or a field holds something else; the message names file and field.
    """
    fps = None
    place = ''
    size = None
    if isinstance(content, Mapping) and content and all(
            isinstance(entry, Mapping) and entry.keys() & _PEOPLE.keys() for entry in content.values()):
        # AlphaPose's forms of other estimators: frames by the name of their image
        content = [{**entry, 'frame': name} for name, entry in content.items()]
    if isinstance(content, Mapping):
        fps = _positive(content.get('fps'), f'{file}: field fps')
        size = _size(content, file)
        key = next((key for key in ('instance_info', 'annotations', 'frames', 'predictions', 'results')
                    if isinstance(content.get(key), list)), None)
        if key is None and 'people' in content:
            raise DataError(f'{file}: a single frame of OpenPose, expected those of a video: join them into one list, '
                            'in the order of the frames')
        if key is None:
            raise DataError(f'{file}: fields {ascii(sorted(map(str, content))[:8])[:_SHOWN]}, expected a list of '
                            'frames or detections, or one of instance_info, annotations, frames')
        content, place = content[key], key
    if not isinstance(content, list) or not content:
        raise DataError(f'{file}: {"an empty list" if content == [] else type(content).__name__}, expected frames or '
                        'detections of a video')
    if len(content) > _MOST_FRAMES:
        raise DataError(f'{file}: field {place or "[0]"} has {len(content)} entries, expected at most {_MOST_FRAMES}')
    frames: dict[int, list[Detection]] = {}
    units: set[str] = set()
    for i, entry in enumerate(content):
        where = f'{file}: field {place}[{i}]'
        number, detections, unit = _frame(entry, i, where)
        held = frames.setdefault(number, [])
        held += detections
        units.update({unit} if unit else ())
        if len(held) > _MOST_PEOPLE:
            raise DataError(f'{where}: more than {_MOST_PEOPLE} people in frame {number}')
    shapes = {detection.points.shape for detections in frames.values() for detection in detections}
    if len(shapes) > 1 or len(units) > 1:
        raise DataError(f'{file}: field {place or "[0]"} mixes people of {sorted(shapes)[:3]} joints and coordinates, '
                        'expected one kind')
    unit = units.pop() if units else 'pixel'
    if unit == 'image' and size is not None:
        return Video(_in_pixels(frames, size), 'pixel', fps)
    return Video(frames, unit, fps)


def _positive(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value < _LARGEST:
        raise DataError(f'{where} is {ascii(value)[:40]}, expected a positive number')
    return float(value)


def _size(content: Mapping[str, Any], file: object) -> tuple[float, float] | None:
    """Width and height of the image, None if they are not said."""
    width, height = (_positive(content.get(name), f'{file}: field {name}') for name in ('width', 'height'))
    return (width, height) if width and height else None


def _in_pixels(frames: dict[int, list[Detection]], size: tuple[float, float]) -> dict[int, list[Detection]]:
    """Shares of width and height, which are of different length, as pixels."""
    return {number: [Detection(people.points[:, :2] * size, people.scores, people.track) for people in detections]
            for number, detections in frames.items()}


def _frame(entry: Any, i: int, where: str) -> tuple[int, list[Detection], str | None]:
    """Number of the frame, people in it and their unit, from one entry of any of the forms."""
    if isinstance(entry, list):
        # MediaPipe: the landmarks of a frame by themselves; empty where nobody was found
        return i, [_landmarks(entry, where, 3)] if entry else [], 'image' if entry else None
    if not isinstance(entry, Mapping):
        raise DataError(f'{where}: {type(entry).__name__}, expected an object')
    if 'instances' in entry:
        people = _list(entry['instances'], f'{where}.instances')
        found = [_person(person, f'{where}.instances[{k}]') for k, person in enumerate(people)]
        return _number(entry.get('frame_id', i), f'{where}.frame_id'), found, 'pixel'
    for group, name in _PEOPLE.items():
        if group in entry:
            each = [(f'{where}.{group}[{k}]', person)
                    for k, person in enumerate(_list(entry[group], f'{where}.{group}'))]
            found = [_flat(_field(person, name, at), f'{at}.{name}', _track(person)) for at, person in each]
            return _number(entry.get('frame', i), f'{where}.frame'), found, 'pixel'
    if 'keypoints' in entry:
        number = _number(entry.get('image_id', entry.get('frame_id', i)), f'{where}.image_id')
        return number, [_person(entry, where)], 'pixel'
    for names, unit, axes in ((_WORLD, 'm', 3), (_IMAGE, 'image', 3)):
        given = next((name for name in names if entry.get(name) is not None), None)
        if given is not None:
            points = _list(entry[given], f'{where}.{given}')
            number = _number(entry.get('frame', entry.get('frame_id', i)), f'{where}.frame')
            # newer versions list people, older ones have one
            people = points if points and isinstance(points[0], list) else [points] if points else []
            return number, [_landmarks(person, f'{where}.{given}', axes) for person in people], unit
    if any(name in entry for name in (*_WORLD, *_IMAGE)):
        return _number(entry.get('frame', entry.get('frame_id', i)), f'{where}.frame'), [], None
    raise DataError(f'{where}: fields {ascii(sorted(map(str, entry))[:8])[:_SHOWN]}, expected instances, people, '
                    'keypoints or landmarks')


def _person(person: Any, where: str) -> Detection:
    """MMPose (pairs or triples and scores beside them) and COCO, AlphaPose (flat, x y score)."""
    points = _list(_field(person, 'keypoints', where), f'{where}.keypoints')
    if points and not isinstance(points[0], list):
        return _flat(points, f'{where}.keypoints', _track(person))
    rows = _numbers(points, f'{where}.keypoints', 2)
    if rows.shape[1] not in (2, 3):
        raise DataError(f'{where}.keypoints: {rows.shape[1]} numbers a joint, expected 2 or 3')
    scores = np.ones(len(rows))
    if person.get('keypoint_scores') is not None:
        scores = _numbers(_list(person['keypoint_scores'], f'{where}.keypoint_scores'), f'{where}.keypoint_scores', 1)
        if len(scores) != len(rows):
            raise DataError(f'{where}.keypoint_scores: {len(scores)} scores of {len(rows)} joints')
    return Detection(rows, scores, _track(person))


def _track(person: Mapping[str, Any]) -> str | None:
    """Who it is, None if nothing says so; of a list, which AlphaPose has where it merged detections, the first."""
    for value in (person.get(name) for name in _TRACK):
        while isinstance(value, list) and value:
            value = value[0]
        # OpenPose, if it follows nobody, says -1
        if isinstance(value, str) or isinstance(value, (int, float)) and value >= 0:
            return str(value)
    return None


def _flat(values: Any, where: str, track: str | None) -> Detection:
    numbers = _numbers(_list(values, where), where, 1)
    if not len(numbers) or len(numbers) % 3:
        raise DataError(f'{where}: {len(numbers)} numbers, expected x, y and score of every joint')
    rows = numbers.reshape(-1, 3)
    return Detection(rows[:, :2], rows[:, 2], track)


def _landmarks(points: list, where: str, axes: int) -> Detection:
    rows, scores = [], []
    for k, point in enumerate(points):
        if not isinstance(point, Mapping):
            raise DataError(f'{where}[{k}]: {type(point).__name__}, expected x, y, z and visibility')
        rows.append([_field(point, axis, f'{where}[{k}]') for axis in 'xyz'[:axes]])
        scores.append(point.get('visibility', 1.))
    return Detection(_numbers(rows, where, 2), _numbers(scores, f'{where}.visibility', 1))


def _list(value: Any, where: str) -> list:
    if not isinstance(value, list):
        raise DataError(f'{where}: {type(value).__name__}, expected a list')
    return value


def _field(value: Any, name: str, where: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise DataError(f'{where}: no field {name}')
    return value[name]


def _number(value: Any, where: str) -> int:
    """Number of a frame: a whole number, or the last digits in the name of an image."""
    if isinstance(value, str):
        digits = re.findall(r'[0-9]+', value)
        value = int(digits[-1]) if digits and len(digits[-1]) < 10 else value
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value < 10 ** 9:
        raise DataError(f'{where}: {ascii(value)[:40]}, expected the number of a frame')
    return value


def _numbers(values: list, where: str, ndim: int) -> np.ndarray:
    """An array of finite numbers of that many dimensions."""
    for k, row in enumerate(_walk(values, where, ndim)):
        if type(row) not in (int, float) or not abs(row) <= _LARGEST:
            raise DataError(f'{where}: number {k} is {ascii(row)[:40]}, expected a finite number')
    return np.array(values, dtype=np.float64).reshape(len(values), *([-1] if ndim == 2 and values else []))


def _walk(values: list, where: str, ndim: int) -> Iterator[Any]:
    if ndim == 1:
        yield from values
        return
    for k, row in enumerate(values):
        if not isinstance(row, list) or len(row) != len(values[0]) or not row:
            raise DataError(f'{where}[{k}]: not as many numbers as before, expected the coordinates of a joint')
        yield from row
