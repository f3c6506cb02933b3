"""From people in frames to the persons of a recording."""
import numpy as np

from mmactclr.errors import DataError

from .pose_json import Detection, Video

# A person in the next frame is one whose middle has moved by less than this share of the height and width together.
_NEAR = .5
# Frames after which somebody who is away is given up.
_PATIENCE = 30
# A gap of this many frames per detection is no video.
_SPARSE = 1000


def persons_in(video: Video, file: object, max_persons: int, min_score: float) -> np.ndarray:
    """(M, T, V, C) float32 from the first frame with somebody to the last; zero where somebody was not seen.

    Who is who: by the track of the estimator, or else the nearest of the frames before. Those who are seen in most
    frames are kept, of equals the larger ones, in the order in which they appear.

    Args:
        video: Detections.
        file: Name of the file, for messages.
        max_persons: Persons to keep.
        min_score: Joints with a lower score are zero.

    Raises:
        DataError: There is nobody, or frame numbers are no frame numbers.
    """
    numbers = sorted(number for number, people in video.frames.items() if people)
    if not numbers:
        raise DataError(f'{file}: nobody in any frame')
    first, count = numbers[0], numbers[-1] - numbers[0] + 1
    if count > _SPARSE * (len(numbers) + 1):
        raise DataError(f'{file}: frames {numbers[0]} to {numbers[-1]} with people in {len(numbers)} of them, expected '
                        'numbers of frames')
    tracks: dict[str, dict[int, Detection]] = {}
    tracks_in = [[person.track for person in video.frames[number]] for number in numbers]
    # a track that two people have in one frame tells nothing
    known = all(None not in names and len(set(names)) == len(names) for names in tracks_in)
    follow = _Follower(known)
    for number in numbers:
        for name, detection in follow(number, video.frames[number]):
            tracks.setdefault(name, {}).setdefault(number - first, detection)
    size = {name: np.mean([np.ptp(d.points[:, :2], axis=0).sum() for d in seen.values()])
            for name, seen in tracks.items()}
    ranked = sorted(tracks, key=lambda name: (-len(tracks[name]), -size[name]))[:max_persons]
    kept = [name for name in tracks if name in ranked]
    shape = next(iter(tracks[kept[0]].values())).points.shape
    persons = np.zeros((len(kept), count, *shape), np.float32)
    for person, name in zip(persons, kept, strict=True):
        for t, detection in tracks[name].items():
            person[t] = np.where((detection.scores >= min_score)[:, None], detection.points, 0)
    return persons


class _Follower:
    """Names people frame by frame.

    Args:
        known: Whether the estimator says who is who.
    """

    def __init__(self, known: bool) -> None:
        self._known = known
        self._last: dict[str, tuple[int, np.ndarray, float]] = {}
        self._count = 0

    def __call__(self, number: int, people: list[Detection]) -> list[tuple[str, Detection]]:
        if self._known:
            return [(f'track {person.track}', person) for person in people]
        middles = np.array([person.points[:, :2].mean(0) for person in people])
        sizes = np.array([np.ptp(person.points[:, :2], axis=0).sum() for person in people])
        self._last = {name: known for name, known in self._last.items() if number - known[0] <= _PATIENCE}
        pairs = [(float(np.linalg.norm(middles[i] - middle)) / max(sizes[i], size, 1e-9), i, name)
                 for i in range(len(people)) for name, (_, middle, size) in self._last.items()]
        names: dict[int, str] = {}
        for distance, i, name in sorted(pairs):
            if distance < _NEAR and i not in names and name not in names.values():
                names[i] = name
        for i in range(len(people)):
            if i not in names:
                names[i] = f'person {self._count}'
                self._count += 1
            self._last[names[i]] = number, middles[i], float(sizes[i])
        return [(names[i], person) for i, person in enumerate(people)]
