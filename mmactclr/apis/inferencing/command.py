"""What the command-line tools print and write of inferences."""
import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout
from mmactclr.structures.remap import stand_ins
from mmactclr.utils import write_json, write_npz
from mmactclr.visualization import Viewpoint, draw_motion
from mmactclr.visualization.stages import upright_recording

from .gallery import MotionGallery, Neighbour
from .inferencer import SkeletonInferencer
from .recordings import Recording, is_archive
from .results import Inference

# segments that a line has room for
_SEGMENTS = 8
# lines of a long list that are printed; files hold all
_LINES = 50


def input_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of an inferencer from options of the command line.

    Raises:
        ConfigError: If there is a unit and a factor.
    """
    if args.unit is not None and args.metres_per_unit is not None:
        raise ConfigError('--unit and --metres-per-unit say the same: give one of them')
    return dict(layout=args.layout, unit=args.unit, up=args.up, metres_per_unit=args.metres_per_unit,
                options=dict(format=args.format) if args.format else None)


def use_anchor(inferencer: SkeletonInferencer, source: str, arguments: dict[str, Any]) -> None:
    """Take ``--anchor``; what is said of the inputs is said of it too, unless it is an archive."""
    inferencer.use_anchor(source, **{} if is_archive(source) else arguments)


def answer(inferencer: SkeletonInferencer, args: argparse.Namespace, view: Viewpoint | None = None) -> list[Inference]:
    """Look at ``args.inputs``, print what was found and write it to ``args.out``; animations are seen from ``view``.

    Raises:
        ConfigError: If an option does not fit.
        DataError: If a recording cannot be used or a file not be written.
    """
    if args.top < 1:
        raise ConfigError(f'--top is {args.top}, expected 1 or more')
    arguments = input_arguments(args)
    inferencer.window_of(args.window, args.hop)
    gallery = MotionGallery.load(args.gallery) if args.gallery else None
    if args.anchor:
        use_anchor(inferencer, args.anchor, arguments)
    recordings = inferencer.read(args.inputs, *(arguments.pop(name) for name in ('layout', 'unit', 'options')))
    found = inferencer(recordings, window=args.window, hop=args.hop, actionlet=bool(args.out), **arguments)
    neighbours = [gallery.search(result, args.top, inferencer) if gallery else [] for result in found]
    for result, near in list(zip(found, neighbours, strict=True))[:_LINES]:
        show(result, args.top)
        if gallery:
            votes = gallery.vote(result) if result.score is None else []
            if votes:
                print('by 20 neighbours: ' + ', '.join(f'{name} {share:.0%}' for name, share in votes[:args.top]))
            show_neighbours(result.name, near)
    if len(found) > _LINES:
        print(f'... and {len(found) - _LINES} more' + ('' if args.out else '; --out DIR writes all of them'))
    if args.out:
        write(Path(args.out), found, neighbours)
        kinds = [kind for kind in ('gif', 'mp4') if getattr(args, kind)]
        animate(Path(args.out), recordings, found, inferencer.layout, kinds, args.up, view)
    return found


def show(result: Inference, top: int) -> None:
    """Print a recording's classes, best first, and its segments."""
    best = ', '.join(f'{name} {score:.0%}' for name, score in result.top(top))
    print(f'{result.name}: {best or f"embedding of {len(result.embedding)} numbers, the model has no classifier"}')
    segments = result.segments()
    for start, end, label in segments[:_SEGMENTS]:
        print(f'    frames {start}-{end - 1}: {label}')
    if len(segments) > _SEGMENTS:
        print(f'    ... {len(segments)} segments in all')


def show_neighbours(name: str, neighbours: Sequence[Neighbour]) -> None:
    """Print the recordings that are most like one."""
    print(f'{name} moves like')
    for each in neighbours:
        print(f'    {each.similarity:.3f}  {each.name}' + (f'  ({each.label})' if each.label else ''))


def write(folder: Path, found: Sequence[Inference], neighbours: Sequence[Sequence[Neighbour]]) -> None:
    """Write ``results.json`` and ``results.npz``.

    Raises:
        DataError: If they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / 'results.json', [
            dict(result.to_dict(), neighbours=[vars(each) for each in near])
            for result, near in zip(found, neighbours, strict=True)])
        columns: dict[str, Any] = dict(embedding=np.stack([result.embedding for result in found]),
                                       name=np.array([result.name for result in found]))
        if found[0].score is not None:
            columns |= dict(score=np.stack([np.asarray(result.score) for result in found]),
                            classes=np.array(found[0].classes))
        for i, result in enumerate(found):
            maps = dict(actionlet=result.actionlet, frame_score=result.frame_score)
            columns |= {f'{name}_{i}': value for name, value in maps.items() if value is not None}
        write_npz(folder / 'results.npz', columns)
    except OSError as error:
        raise DataError(f'{folder} cannot be written ({error}); choose another folder') from error
    print(f'written: {folder / "results.json"} and results.npz')


def animate(folder: Path, recordings: Sequence[Recording], found: Sequence[Inference], layout: Layout,
            kinds: Sequence[str], up: str | None = None, view: Viewpoint | None = None) -> None:
    """Write an animation of every recording, upright, with its actionlet.

    Args:
        folder: Where to.
        recordings: What is drawn.
        found: What the model says of them.
        layout: Joints of the model.
        kinds: Any of ``gif`` and ``mp4``.
        up: Axis of the recordings that points up; estimated if None.
        view: From where bodies are seen in three dimensions; flat if None.
    """
    for name, recording, result in zip(file_names([r.name for r in found]), recordings, found, strict=True):
        for kind in kinds:
            actionlet = on_recorded_joints(result.actionlet, layout, recording)
            drawn = draw_motion(upright_recording(recording.keypoint, recording.layout, up), recording.layout,
                                folder / f'{name}.{kind}', recording.fps, actionlet, result.name, result.label or '',
                                view)
            print(f'written: {drawn}')


def on_recorded_joints(actionlet: np.ndarray | None, layout: Layout, recording: Recording) -> np.ndarray | None:
    """An actionlet (M, T, V) on joints of a model as (M', T, V') on those of a recording; persons left out have 0."""
    if actionlet is None:
        return None
    joints = stand_ins(layout, recording.layout)
    found = np.zeros(recording.keypoint.shape[:3], np.float32)
    persons = min(len(found), len(actionlet))
    found[:persons] = np.stack([actionlet[:persons, :, list(sources)].mean(-1) for sources in joints], -1)
    return found


def file_names(names: Sequence[str]) -> list[str]:
    """A file name for each of several recordings, none twice, whatever a file system makes of capitals."""
    plain = [re.sub(r'[^\w.-]+', '_', Path(name).stem) or 'recording' for name in names]
    found: list[str] = []
    taken: set[str] = set()
    for name in plain:
        numbered = (f'{name}_{i}' for i in range(1, len(plain) + 1))
        free = name if name.lower() not in taken else next(
            other for other in numbered if other.lower() not in taken | {one.lower() for one in plain})
        found.append(free)
        taken.add(free.lower())
    return found
