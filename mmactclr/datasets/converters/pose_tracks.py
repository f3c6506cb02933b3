"""From people in frames to the persons of a recording."""
import numpy as np

from mmactclr.errors import DataError

from .pose_json import Detection, Video

# A person in the next frame is one whose joints have moved on average by less than this share of height and width
# together.
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
    size = {name: np.mean([_extent(d) for d in seen.values()]) for name, seen in tracks.items()}
    ranked = sorted(tracks, key=lambda name: (-len(tracks[name]), -size[name]))[:max_persons]
    kept = [name for name in tracks if name in ranked]
    shape = next(iter(tracks[kept[0]].values())).points.shape
    persons = np.zeros((len(kept), count, *shape), np.float32)
    for person, name in zip(persons, kept, strict=True):
        for t, detection in tracks[name].items():
            person[t] = np.where((detection.scores >= min_score)[:, None], detection.points, 0)
    return persons


def _seen(person: Detection) -> np.ndarray:
    """(V,) which joints were found; all of them if none was, so that there is a place at any rate."""
    seen = person.points[:, :2].any(1) & (person.scores > 0)
    return seen if seen.any() else np.ones(len(seen), dtype=bool)


def _extent(person: Detection) -> float:
    """Width and height together."""
    return float(np.ptp(person.points[_seen(person), :2], axis=0).sum())


def _distance(person: Detection, before: Detection) -> float:
    """How far joints that were found both times have moved on average, as a share of the larger extent."""
    now, then = _seen(person), _seen(before)
    both = now & then
    if both.any():
        moved = np.linalg.norm(person.points[both, :2] - before.points[both, :2], axis=1).mean()
    else:
        moved = np.linalg.norm(person.points[now, :2].mean(0) - before.points[then, :2].mean(0))
    return float(moved) / max(_extent(person), _extent(before), 1e-9)


class _Follower:
    """Names people frame by frame.

    Args:
        known: Whether the estimator says who is who.
    """

    def __init__(self, known: bool) -> None:
        self._known = known
        self._last: dict[str, tuple[int, Detection]] = {}
        self._count = 0

    def __call__(self, number: int, people: list[Detection]) -> list[tuple[str, Detection]]:
        if self._known:
            return [(f'track {person.track}', person) for person in people]
        self._last = {name: known for name, known in self._last.items() if number - known[0] <= _PATIENCE}
        pairs = [(_distance(person, before), i, name)
                 for i, person in enumerate(people) for name, (_, before) in self._last.items()]
        names: dict[int, str] = {}
        for distance, i, name in sorted(pairs):
            if distance < _NEAR and i not in names and name not in names.values():
                names[i] = name
        for i in range(len(people)):
            if i not in names:
                names[i] = f'person {self._count}'
                self._count += 1
            self._last[names[i]] = number, people[i]
        return [(names[i], person) for i, person in enumerate(people)]
