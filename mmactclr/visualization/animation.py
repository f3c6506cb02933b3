"""Stages of a sequence side by side as an animated GIF."""
import math
import os
import textwrap
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib import rcParams
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmactclr.errors import ConfigError

from .bodies import Drawn, draw_bodies, legend_handles
from .contact_sheet import SequenceRows

#: Where the recording does not say how many frames a second has.
ASSUMED_FPS = 30.
# browsers slow down what is faster
_FASTEST = 50.
# longer recordings show every second frame, every third, ...
_MOST_FRAMES = 600
# inches: panel, its title, title of the sequence with the legend
_PANEL, _LABEL, _HEAD = 2.2, .5, .55
# letters of a note that fit above a panel
_LETTERS = 50
_COLUMNS = 5
_DPI = 80


def animation_frames(num_frames: int, fps: float) -> tuple[np.ndarray, float]:
    """Frames of a recording that are shown, and how many of them a second, so that it lasts as long as it did."""
    step = max(math.ceil(fps / _FASTEST), math.ceil(num_frames / _MOST_FRAMES))
    return np.arange(0, num_frames, step), fps / step


def draw_animation(sequence: SequenceRows, path: str | Path) -> Path:
    """Draw every stage in a panel of its own, at the speed of the recording.

    The first stage sets the number of frames; the others, if they have more or fewer, run at the speed that makes
    them end with it. Every panel holds all that happens in it.

    Args:
        sequence: The stages, at least one.
        path: GIF or MP4 file to write; MP4 needs ffmpeg, which the package imageio-ffmpeg brings.

    Returns:
        The path.

    Raises:
        ConfigError: If there is no stage, the name ends in something else, ffmpeg is missing or the file cannot be
            written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in ('.gif', '.mp4') or not sequence.clips:
        raise ConfigError(f'animation {str(path)!r} of {len(sequence.clips)} stages: expected a file name that ends in '
                          '.gif or .mp4, and one stage or more')
    total = sequence.clips[0].num_frames
    frames, fps = animation_frames(total, sequence.frames_per_second or ASSUMED_FPS)
    figure, bodies = _panels(sequence)
    width, height = figure.get_size_inches()
    counter = figure.text(1 - .1 / width, 1 - .2 / height, '', ha='right', fontsize=8, color='0.35')
    aside = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{kind}')
    writer = PillowWriter(fps=cast(int, fps)) if kind == '.gif' else _video_writer(fps)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with writer.saving(figure, aside, _DPI):
                for frame in frames:
                    for clip, drawn in zip(sequence.clips, bodies, strict=True):
                        drawn.show(round(frame * (clip.num_frames - 1) / max(total - 1, 1)))
                    counter.set_text(f'frame {frame} of {total}')
                    writer.grab_frame()
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f'animation {str(path)!r} cannot be written: {error}') from error
    return path


def require_ffmpeg() -> None:
    """Refuse MP4 files where nothing can write them; before a tool does its work.

    Raises:
        ConfigError: If ffmpeg is missing.
    """
    try:
        import imageio_ffmpeg
        rcParams['animation.ffmpeg_path'] = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        pass  # one that is installed on the machine will do
    if not FFMpegWriter.isAvailable():
        raise ConfigError('an .mp4 needs ffmpeg: pip install imageio-ffmpeg; .gif needs nothing')


def _video_writer(fps: float) -> AbstractMovieWriter:
    require_ffmpeg()
    # sides of an even number of pixels, which most players ask for
    return FFMpegWriter(fps=cast(int, fps), extra_args=['-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-pix_fmt', 'yuv420p'])


def _panels(sequence: SequenceRows) -> tuple[Figure, list[Drawn]]:
    """An axes for every clip, with a view that holds all of its frames."""
    columns = min(len(sequence.clips), _COLUMNS)
    rows = math.ceil(len(sequence.clips) / columns)
    # the title and the legend need some room
    width, height = max(columns * _PANEL, 2.5 * _PANEL), rows * (_PANEL + _LABEL) + _HEAD
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)  # no window system, whatever pyplot is set to
    figure.text(.1 / width, 1 - .2 / height, sequence.title, fontsize=9, fontweight='bold', parse_math=False)
    figure.legend(handles=legend_handles(sequence.clips), loc='upper left', bbox_to_anchor=(0, 1 - .2 / height),
                  ncols=9, frameon=False, fontsize=6, handlelength=1, columnspacing=.8)
    bodies = []
    for i, clip in enumerate(sequence.clips):
        bottom = height - _HEAD - (i // columns + 1) * (_PANEL + _LABEL)
        left = (i % columns) * width / columns
        ax = figure.add_axes((left / width, bottom / height, 1 / columns, _PANEL / height))
        bodies.append(draw_bodies(ax, clip, clip.limits(np.arange(clip.num_frames))))
        notes = textwrap.fill('; '.join(clip.notes), _LETTERS)
        figure.text((left + .1) / width, (bottom + _PANEL + .28) / height, clip.label, fontsize=8, parse_math=False)
        figure.text((left + .1) / width, (bottom + _PANEL + .24) / height, notes, fontsize=6, color='0.35', va='top',
                    parse_math=False)
    return figure, bodies
