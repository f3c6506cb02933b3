"""A recording as a page to turn and play: three dimensions, a play button, one file."""
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from mmactclr.errors import ConfigError

from .animation import ASSUMED_FPS, animation_frames
from .bodies import PART_COLOURS
from .html_page import save_html
from .motion_clip import MotionClip
from .skeleton import WEIGHT_COLOURS

_JOINT, _BONE, _HEIGHT = 4, 5, 680
# pixels for buttons, slider and the numbers under it
_BELOW = 110
# stops of the colours of an actionlet
_STOPS = 9


def draw_interactive(clip: MotionClip, path: str | Path, fps: float | None = None, title: str = '') -> Path:
    """Write a page that shows a clip from any side, its limbs in the colours of their side or of its weight.

    The page holds the viewer itself, some 4.5 MB, and loads nothing.

    Args:
        clip: What to show; of flat data all depths are zero. y is up.
        path: HTML file to write.
        fps: Frames a second; 30 if nobody knows. Long and fast recordings are thinned out.
        title: Line above.

    Returns:
        The path.

    Raises:
        ConfigError: If plotly is not installed, or the file cannot be written.
    """
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ConfigError('an interactive page needs the package plotly, which is not installed: pip install plotly'
                          ) from error
    frames, rate = animation_frames(clip.num_frames, fps or ASSUMED_FPS)
    places = _placed(clip)
    pictures = [go.Frame(data=_traces(go, clip, places, int(frame)), name=str(frame)) for frame in frames]
    low, high = places[clip.found].min(0), places[clip.found].max(0)
    middle, reach = (low + high) / 2, max(float((high - low).max()) * .55, 1e-6)
    axes = {f'{name}axis': dict(range=[middle[i] - reach, middle[i] + reach], visible=False)
            for i, name in enumerate('xyz')}
    play = dict(frame=dict(duration=1000 / rate, redraw=True), transition=dict(duration=0), fromcurrent=True)
    still = dict(frame=dict(duration=0, redraw=True), mode='immediate', transition=dict(duration=0))
    figure = go.Figure(data=pictures[0].data, frames=pictures)
    figure.update_layout(
        title=dict(text=_plain(' | '.join(filter(None, [title, clip.label])))), height=_HEIGHT, showlegend=False,
        margin=dict(l=0, r=0, t=50, b=_BELOW), template='plotly_white',
        # from behind, as prepared bodies stand in all pictures
        scene=dict(**axes, bgcolor='#eeeef2', aspectmode='cube',
                   camera=dict(eye=dict(x=0, y=-1.6, z=.3), up=dict(x=0, y=0, z=1))),
        updatemenus=[dict(type='buttons', direction='left', x=0, y=0, xanchor='left', yanchor='top', buttons=[
            dict(label='Play', method='animate', args=[None, play]),
            dict(label='Pause', method='animate', args=[[None], still])])],
        sliders=[dict(x=.2, len=.8, y=0, yanchor='top', currentvalue=dict(prefix='frame '), steps=[
            dict(label=str(frame), method='animate', args=[[str(frame)], still]) for frame in frames])])
    return save_html(figure.to_html(include_plotlyjs=True, full_html=True, auto_play=False), path)


def _placed(clip: MotionClip) -> np.ndarray:
    """(M, T, V, 3) as plotted: z up, x to the right, y away from who looks."""
    return clip.in_space[..., [0, 2, 1]] * [1., -1., 1.]


def _traces(go: Any, clip: MotionClip, places: np.ndarray, frame: int) -> list[Any]:
    """Bones and joints of everybody in a frame; who is absent has none."""
    traces = []
    for person in range(clip.num_persons):
        found, at = clip.found[person, frame], places[person, frame]
        bones = [(child, parent) for child, parent in clip.layout.bones if found[child] and found[parent]]
        ends = [joint for child, parent in bones for joint in (child, parent, -1)]
        # a gap after every bone
        line = np.stack([at[joint] if joint >= 0 else np.full(3, np.nan) for joint in ends]) if ends \
            else np.zeros((0, 3))
        shown = np.flatnonzero(found)
        weight = None if clip.weight is None else clip.weight[person, frame]
        if weight is None:
            colours = _part_colours(clip)
            own = [colours[joint] for joint in shown]
            along = [colours[bones[i // 3][0]] for i in range(len(ends))]
            line_style, marker = dict[str, Any](color=along), dict[str, Any](color=own)
            text = [clip.layout.joints[joint] for joint in shown]
        else:
            scale = dict(colorscale=_colourscale(), cmin=0, cmax=1)
            values = [round(float(weight[joint]), 3) if joint >= 0 else 0. for joint in ends]
            line_style = dict(color=values, **scale)
            marker = dict(color=np.round(weight[shown].astype(float), 3).tolist(), showscale=person == 0,
                          colorbar=dict(title='actionlet / maximum', len=.5, thickness=12), **scale)
            text = [f'{clip.layout.joints[joint]}: {weight[joint]:.2f}' for joint in shown]
        traces.append(go.Scatter3d(x=_rounded(line[:, 0]), y=_rounded(line[:, 1]), z=_rounded(line[:, 2]), mode='lines',
                                   line=dict(width=_BONE, **line_style), hoverinfo='skip'))
        traces.append(go.Scatter3d(x=_rounded(at[shown, 0]), y=_rounded(at[shown, 1]), z=_rounded(at[shown, 2]),
                                   mode='markers', marker=dict(size=_JOINT, **marker), text=text, hoverinfo='text'))
    return traces


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if value != value else round(float(value), 4) for value in values]


def _part_colours(clip: MotionClip) -> list[str]:
    names = list(clip.layout.parts)
    return [PART_COLOURS[names[part]] for part in clip.layout.part_of]


def _colourscale() -> list[tuple[float, str]]:
    return [(x, to_hex(WEIGHT_COLOURS(x))) for x in np.linspace(0, 1, _STOPS).tolist()]


def _plain(text: str) -> str:
    """Text that the viewer shows as it is, not as tags or links."""
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
