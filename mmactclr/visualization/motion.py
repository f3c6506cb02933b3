"""A recording as an animation."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.structures import Layout, get_layout

from .animation import draw_animation
from .contact_sheet import SequenceRows, draw_contact_sheet
from .motion_clip import MotionClip
from .space import SpaceClip, Viewpoint


def draw_motion(keypoint: np.ndarray, layout: str | Mapping[str, Any] | Layout, path: str | Path,
                fps: float | None = None, actionlet: np.ndarray | None = None, recording: str = '',
                caption: str = '', view: Viewpoint | None = None) -> Path:
    """Draw a recording as a GIF or MP4, its limbs in the colours of their side or of an actionlet.

    Args:
        keypoint: (M, T, V, C) or, of one person, (T, V, C) positions in any unit; zero where somebody was not seen.
        layout: Joints of the recording, or the name of their layout.
        path: File to write.
        fps: Frames a second; 30 if nobody knows.
        actionlet: (M, T, V) from 0 to 1, if any.
        recording: Title.
        caption: Stands above the body, such as the class.
        view: From where it is seen in three dimensions; flat, in x and y, if None.

    Returns:
        The path.

    Raises:
        ConfigError: If the layout is unknown or the file cannot be written.
        DataError: If shapes do not fit.
    """
    keypoint = np.asarray(keypoint)
    keypoint = keypoint[None] if keypoint.ndim == 3 else keypoint
    clip = MotionClip(caption or 'recording', keypoint, get_layout(layout), weight=actionlet)
    clip = clip if view is None else SpaceClip.of(clip, view)
    return draw_animation(SequenceRows(recording, [clip], fps), path)


def draw_mean_motion(motions: Mapping[str, np.ndarray], layout: str | Mapping[str, Any] | Layout, path: str | Path,
                     title: str = '', num_frames: int = 9) -> Path:
    """Draw mean motions, such as a static anchor, as rows of skeletons over time (figure 5 of the supplement).

    Args:
        motions: (M, T, V, C) prepared joints by the name of their row; a person who is zero everywhere is left out.
        layout: Layout of the joints, or its name.
        path: PNG file to write.
        title: Line above.
        num_frames: Skeletons in a row, spread evenly over time.

    Returns:
        The path.

    Raises:
        ConfigError: If the layout is unknown, nothing is to be drawn or the file cannot be written.
        DataError: If shapes do not fit.
    """
    layout = get_layout(layout)
    clips = [MotionClip(name, np.asarray(motion), layout, mask=np.abs(motion).max((1, 2, 3)) > 0, centred=True,
                        notes=(f'of {len(motion[0])} frames',)) for name, motion in motions.items()]
    return draw_contact_sheet([SequenceRows(title, clips)], path, num_frames,
                              'Numbers are frames; a row has one scale. Seen from behind: right is right.')
