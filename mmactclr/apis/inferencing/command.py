"""What the command-line tools print and write of inferences."""
import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout
from mmactclr.structures.remap import stand_ins
from mmactclr.utils import write_json
from mmactclr.visualization import draw_motion

from .gallery import MotionGallery, Neighbour
from .inferencer import SkeletonInferencer
from .recordings import Recording
from .results import Inference

# segments that a line has room for
_SEGMENTS = 8
# lines of a long list that are printed; files hold all
_LINES = 50


def input_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of an inferencer from options of the command line."""
    return dict(layout=args.layout, unit=args.unit, up=args.up, metres_per_unit=args.metres_per_unit,
                options=dict(format=args.format) if args.format else None)


def answer(inferencer: SkeletonInferencer, args: argparse.Namespace) -> list[Inference]:
    """Look at ``args.inputs``, print what was found and write it to ``args.out``.

    Raises:
        ConfigError: If an option does not fit.
        DataError: If a recording cannot be used or a file not be written.
    """
    if args.top < 1:
        raise ConfigError(f'--top is {args.top}, expected 1 or more')
    arguments = input_arguments(args)
    gallery = MotionGallery.load(args.gallery) if args.gallery else None
    recordings = inferencer.read(args.inputs, *(arguments.pop(name) for name in ('layout', 'unit', 'options')))
    if args.anchor:
        inferencer.use_anchor(args.anchor, layout=args.layout, unit=args.unit, **arguments)
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
        write(Path(args.out), recordings, found, neighbours, inferencer.layout if args.gif else None)
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


def write(folder: Path, recordings: Sequence[Recording], found: Sequence[Inference],
          neighbours: Sequence[Sequence[Neighbour]], layout: Layout | None) -> None:
    """Write ``results.json``, ``results.npz`` and, if the layout of the model is given, a GIF of every recording."""
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
        aside = folder / f'.results.partial-{os.getpid()}.npz'
        np.savez(aside, **columns)
        os.replace(aside, folder / 'results.npz')
    except OSError as error:
        raise DataError(f'{folder} cannot be written ({error}); choose another folder') from error
    print(f'written: {folder / "results.json"} and results.npz')
    if layout is not None:
        for name, recording, result in zip(_file_names(found), recordings, found, strict=True):
            actionlet = on_recorded_joints(result.actionlet, layout, recording)
            drawn = draw_motion(recording.keypoint, recording.layout, folder / f'{name}.gif', recording.fps, actionlet,
                                result.name, result.label or '')
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


def _file_names(found: Sequence[Inference]) -> list[str]:
    """A file name for every recording, none twice."""
    plain = [re.sub(r'[^\w.-]+', '_', Path(result.name).stem) or 'recording' for result in found]
    return [name if plain.count(name) == 1 else f'{name}_{i}' for i, name in enumerate(plain)]
