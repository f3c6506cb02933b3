"""Pose estimators' output, one JSON or npz a video."""
import argparse
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.datasets.archive_format import DAMAGE
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import Layout, get_layout, list_layouts

from .file_converter import Clip, FileConverter, Recordings
from .json_source import load_json
from .labels import Labels, add_label_arguments, find_labels, split_maker
from .pose_frames import FrameFiles, join_frames
from .pose_json import Detection, Video, parse_pose
from .pose_tracks import persons_in
from .source_files import SourceFile, find_files, first_readable

#: Layouts that are told by the number of joints.
LAYOUTS = {17: 'coco17', 18: 'openpose18', 25: 'openpose25', 33: 'mediapipe33'}
_MOST_JOINTS = 1000


def read_video(file: SourceFile) -> Video:
    """Detections of a file, or of the files of a video.

    Raises:
        DataError: It is damaged, or of another form.
    """
    if isinstance(file, FrameFiles):
        return parse_pose({'frames': [_frame_of(part, number) for number, part in file.frames]}, file)
    content = file.read()
    if file.name.lower().endswith('.npz'):
        return _from_npz(content, file)
    return parse_pose(load_json(content, file), file)


def _frame_of(file: SourceFile, number: int) -> dict[str, Any]:
    entry = load_json(file.read(), file)
    if not isinstance(entry, dict) or 'people' not in entry:
        raise DataError(f'{file}: no field people, expected what OpenPose writes of a frame')
    return {**entry, 'frame': number}


def _from_npz(content: bytes, file: object) -> Video:
    """Arrays ``keypoints`` (T, V, C) or (T, M, V, C), and perhaps ``scores`` (without C) and ``fps``."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            fields = {name: stored[name] for name in ('keypoints', 'scores', 'fps') if name in stored.files}
            names = stored.files
    except DAMAGE as error:
        raise DataError(f'{file} cannot be read as npz without pickles ({type(error).__name__})') from error
    keypoints = fields.get('keypoints')
    if keypoints is None or keypoints.dtype.kind not in 'fiu' or keypoints.ndim not in (3, 4):
        found = f'{keypoints.dtype} {keypoints.shape}' if keypoints is not None else f'fields {names[:8]}'
        raise DataError(f'{file}: {found}, expected a field keypoints (frames, joints, 2 or 3) or (frames, persons, '
                        'joints, 2 or 3)')
    keypoints = keypoints[:, None] if keypoints.ndim == 3 else keypoints
    if 0 in keypoints.shape or keypoints.shape[3] not in (2, 3) or keypoints.shape[2] > _MOST_JOINTS:
        raise DataError(f'{file}: field keypoints has shape {keypoints.shape}, expected (frames, persons, joints, 2 or '
                        '3), none of them 0')
    scores = fields.get('scores', np.ones(keypoints.shape[:3]))
    scores = scores[:, None] if scores.ndim == 2 else scores
    if scores.shape != keypoints.shape[:3] or scores.dtype.kind not in 'fiu':
        raise DataError(f'{file}: field scores has shape {scores.shape}, expected {keypoints.shape[:3]}')
    keypoints, scores = keypoints.astype(np.float64), scores.astype(np.float64)
    # NaN is how arrays say that a joint was not seen
    scores = np.where(np.isnan(keypoints).any(3) | np.isnan(scores), -np.inf, scores)
    keypoints = np.nan_to_num(keypoints, posinf=np.inf, neginf=-np.inf)
    if not np.isfinite(keypoints).all() or np.abs(keypoints).max() > np.finfo(np.float32).max:
        raise DataError(f'{file}: field keypoints holds numbers that are not finite')
    frames = {t: [Detection(points, score, str(m)) for m, (points, score) in enumerate(zip(*frame, strict=True))
                  if points.any() and np.isfinite(score).any()]
              for t, frame in enumerate(zip(keypoints, scores, strict=True))}
    fps = fields.get('fps')
    if fps is not None and (fps.size != 1 or fps.dtype.kind not in 'fiu' or not fps.item() > 0):
        raise DataError(f'{file}: field fps is {ascii(fps.tolist())[:40]}, expected one positive number')
    unit = 'pixel' if keypoints.shape[3] == 2 else 'unknown'
    return Video(frames, unit, float(fps.item()) if fps is not None else None)


def read_pose(file: SourceFile, layout: Layout, axes: int, labels: Labels, max_persons: int = 2,
              min_score: float = 0., unit: str | None = None) -> list[Clip]:
    """The clip of one video.

    Raises:
        DataError: The file is damaged, or has other joints than the layout.
    """
    video = read_video(file)
    persons = persons_in(video, file, max_persons, min_score)
    if unit is not None and video.unit != unit:
        raise DataError(f'{file}: field keypoints or landmarks is in {video.unit}, that of the other files in {unit}')
    if persons.shape[2] != layout.num_joints or persons.shape[3] < axes:
        raise DataError(f'{file}: field keypoints has {persons.shape[2]} joints of {persons.shape[3]} coordinates, the '
                        f'other files {layout.num_joints} of {axes}')
    label, columns = labels.of(file)
    return [Clip(persons[..., :axes], labels.name_of(file), label, columns)]


@CONVERTERS.register_module('pose')
class PoseConverter(FileConverter):
    """Pose estimators' output: AlphaPose, MMPose, MediaPipe, OpenPose, COCO; JSON or npz, one file a video."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Joints, persons, classes, splits."""
        super().add_arguments(parser)
        parser.add_argument('--layout', metavar='NAME', help='where the number of joints does not tell: '
                            f'{", ".join(list_layouts())}')
        parser.add_argument('--max-persons', type=int, default=2, metavar='N', help='those seen in most frames')
        parser.add_argument('--min-score', type=float, default=0., metavar='X',
                            help='joints of which the estimator is less sure count as not seen')
        parser.add_argument('--fps', type=float, help='frames per second, where the files do not say')
        add_label_arguments(parser)

    def find(self, src: Path, *, layout: str | None = None, max_persons: int = 2, min_score: float = 0.,
             fps: float | None = None, labels: str | Path | None = None, test_subjects: Sequence[str] | None = None,
             test_fraction: float | None = None, seed: int = 0) -> Recordings:
        """Looks for JSON and npz files and into the first that has somebody in it.

        Args:
            src: Folder, zip or file.
            layout: Name of a registered layout.
            max_persons: Persons to keep.
            min_score: Joints with a lower score are zero.
            fps: Frames per second.
            labels: See :func:`find_labels`.
            test_subjects: See :func:`split_maker`.
            test_fraction: See :func:`split_maker`.
            seed: See :func:`split_maker`.

        Raises:
            DataError: There are no such files, or none of the first can be read.
            ConfigError: The joints are not known, or an option does not fit.
        """
        if max_persons < 1 or fps is not None and not fps > 0:
            raise ConfigError(f'--max-persons {max_persons} --fps {fps}: expected one person and a positive number')
        known = find_labels(src, join_frames(find_files(src, '*.json', '*.npz')), labels)
        _, (video, points) = first_readable(known.files, _look_for_people)
        joints, axes = points.shape
        if layout is None and joints not in LAYOUTS:
            raise ConfigError(f'{src}: {joints} joints, which layout is that? Pass --layout, one of '
                              f'{", ".join(list_layouts())}')
        if layout is None and (joints, axes) == (17, 3):
            raise ConfigError(f'{src}: 17 joints with depth may be those of h36m17 or of coco17: pass --layout (a '
                              'score is no depth: it belongs into a field of its own, scores)')
        found = get_layout(layout or LAYOUTS[joints])
        if found.num_joints != joints:
            raise ConfigError(f'--layout {found.name} has {found.num_joints} joints, {src} has {joints}')
        unit = {'image': 'unknown'}.get(video.unit, video.unit)
        # the depth that goes with shares of the image's width is a guess on another scale
        axes = 2 if video.unit == 'image' else axes
        return Recordings(
            known.files, functools.partial(read_pose, layout=found, axes=axes, labels=known, max_persons=max_persons,
                                           min_score=min_score, unit=video.unit),
            found, known.classes, split_maker(known, test_subjects, test_fraction, seed),
            dict(fps=fps or video.fps, unit=unit, source=src.name), known.excluded)


def _look_for_people(file: SourceFile) -> tuple[Video, np.ndarray]:
    video = read_video(file)
    for detections in video.frames.values():
        if detections:
            return video, detections[0].points
    raise DataError(f'{file}: nobody in any frame')
