"""A clip seen from any side: depth decides what covers what, and there is a floor to stand on."""
import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba

from mmactclr.errors import ConfigError

from .motion_clip import MotionClip, upright_vectors
from .skeleton import Limits

_FLOOR, _SHADOW = '0.86', '0.8'
# share of a body's height that a square of the floor has, before it is rounded to 1, 2 or 5
_SQUARE = .3
# share of a bone at either end that has no edge
_EDGE = .25
# more lines than that are no floor: coordinates that lie far apart
_MOST_LINES = 200


@dataclass(frozen=True)
class Viewpoint:
    """From where bodies are looked at, from so far away that there is no perspective.

    Attributes:
        elevation: Degrees above the horizon, -90 to 90.
        azimuth: Degrees about the vertical, counted from the side that flat pictures show (prepared bodies from behind)
            towards the right of the picture.

    Raises:
        ConfigError: If an angle is out of range or not finite.
    """

    elevation: float = 15.
    azimuth: float = 35.

    def __post_init__(self) -> None:
        if not abs(self.elevation) <= 90 or not math.isfinite(self.azimuth):
            raise ConfigError(f'a view of elevation {self.elevation:g} and azimuth {self.azimuth:g}, expected -90 to '
                              '90 degrees and a finite number')

    def matrix(self) -> np.ndarray:
        """(3, 3) for row vectors (x to the right, y up, z towards who looks at flat pictures).

        The columns give x and y of the picture and the nearness.
        """
        a, e = math.radians(self.azimuth), math.radians(self.elevation)
        towards = np.array([math.sin(a), 0., math.cos(a)])
        right, up = np.array([math.cos(a), 0., -math.sin(a)]), np.array([0., 1., 0.])
        return np.stack([right, math.cos(e) * up - math.sin(e) * towards, math.cos(e) * towards + math.sin(e) * up], 1)


@dataclass(frozen=True)
class SpaceClip(MotionClip):
    """A clip as it looks from a viewpoint: all that is asked for the plane, it answers for the picture.

    Attributes:
        viewpoint: From where it is seen.
        positions: (M, T, V, 3) x to the right, y up, z towards who looks at flat pictures.
    """

    viewpoint: Viewpoint = field(default_factory=Viewpoint)
    positions: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0, 3)))

    @classmethod
    def of(cls, clip: MotionClip, viewpoint: Viewpoint) -> 'SpaceClip':
        """A clip, seen from there."""
        values = {each.name: getattr(clip, each.name) for each in fields(MotionClip)}
        if clip.motion is not None:
            values['motion'] = upright_vectors(np.asarray(clip.motion), clip.y_grows_down) @ viewpoint.matrix()
        return cls(**values, viewpoint=viewpoint, positions=clip.in_space)

    @cached_property
    def floor(self) -> float:
        """Height of the lowest joint of the clip."""
        return float(self.positions[self.found][:, 1].min()) if self.found.any() else 0.

    @cached_property
    def _projected(self) -> np.ndarray:
        return self.positions @ self.viewpoint.matrix()

    @property
    def nearness(self) -> np.ndarray:
        """(M, T, V), larger for what is nearer to who looks."""
        return self._projected[..., 2]

    @cached_property
    def placed(self) -> np.ndarray:
        """(M, T, V, 2) x and y in the picture."""
        return self._projected[..., :2]

    @cached_property
    def shadows(self) -> np.ndarray:
        """(M, T, V, 2) x and y in the picture of the places on the floor below the joints."""
        below = self.positions.copy()
        below[..., 1] = self.floor
        return (below @ self.viewpoint.matrix())[..., :2]

    @cached_property
    def y_grows_down(self) -> bool:
        """Never in the picture."""
        return False

    def limits(self, frames: np.ndarray) -> Limits:
        """As of a flat clip, with the floor below the bodies."""
        found = self.found[:, frames]
        points = np.concatenate([self.placed[:, frames][found], self.shadows[:, frames][found]])
        return self._view(points.min(0), points.max(0)) if len(points) else (-1., 1., -1., 1.)

    @cached_property
    def square(self) -> float:
        """Side of the squares of the floor: 1, 2 or 5 times a power of ten."""
        extents = [np.ptp(body[found], axis=0).max() for body, found in zip(
            self.positions.reshape(-1, *self.positions.shape[2:]), self.found.reshape(-1, self.found.shape[2]),
            strict=True) if found.any()]
        wanted = _SQUARE * (float(np.median(extents)) if extents else 1.) or 1.
        power = 10. ** math.floor(math.log10(wanted))
        return min((factor * power for factor in (1, 2, 5, 10)), key=lambda size: abs(math.log(size / wanted)))

    def grid(self) -> np.ndarray:
        """(L, 2, 2) lines of the floor in the picture, one square beyond what happens; multiples of :attr:`square`."""
        if not self.found.any():
            return np.zeros((0, 2, 2))
        ground = self.positions[self.found][:, [0, 2]]
        low = np.floor(ground.min(0) / self.square).astype(int) - 1
        high = np.ceil(ground.max(0) / self.square).astype(int) + 1
        if (high - low).sum() > _MOST_LINES:
            return np.zeros((0, 2, 2))
        ends = [[(x, low[1]), (x, high[1])] for x in range(low[0], high[0] + 1)]
        ends += [[(low[0], z), (high[0], z)] for z in range(low[1], high[1] + 1)]
        x, z = np.moveaxis(self.square * np.array(ends, np.float64), -1, 0)
        return (np.stack([x, np.full_like(x, self.floor), z], -1) @ self.viewpoint.matrix())[..., :2]


class Scene:
    """A floor, and shadows on it: what lies behind the bodies of a clip.

    Args:
        ax: Axes to draw on.
        clip: What stands there.
    """

    def __init__(self, ax: Axes, clip: SpaceClip) -> None:
        self._clip = clip
        # looked at from below, the floor covers the bodies
        order = -2 if clip.viewpoint.elevation >= 0 else 4
        ax.add_collection(LineCollection(list(clip.grid()), color=_FLOOR, linewidth=.5, zorder=order), autolim=False)
        self._shadow = LineCollection([], color=_SHADOW, linewidth=1.6, capstyle='round', zorder=order + .5)
        ax.add_collection(self._shadow, autolim=False)

    def show(self, frame: int) -> None:
        """Move the shadows to those of a frame."""
        child, parent = np.array(self._clip.layout.bones).T
        found, at = self._clip.found[:, frame], self._clip.shadows[:, frame]
        drawn = found[:, child] & found[:, parent]
        self._shadow.set_segments(np.stack([at[:, child], at[:, parent]], 2)[drawn])


class Strokes:
    """Bones and joints of everybody in one collection, drawn from the farthest to the nearest.

    A joint is a stroke of nearly no length with round ends. It is as near as the nearest of its bones, whose end it is.

    Args:
        ax: Axes to draw on.
        clip: What is drawn.
        bone, joint: Widths in points.

    Attributes:
        lines (LineCollection): The strokes of the last frame.
    """

    def __init__(self, ax: Axes, clip: SpaceClip, bone: float = 1.5, joint: float = 2.) -> None:
        self._clip, self._bone, self._joint = clip, bone, joint
        self.lines = LineCollection([], capstyle='round', zorder=1, snap=False)
        ax.add_collection(self.lines, autolim=False)

    def show(self, frame: int, bone_colours: list[np.ndarray], joint_colours: list[np.ndarray],
             edges: tuple[str, str | None] = ('white', None), dashes: list[np.ndarray] | None = None) -> None:
        """Draw a frame.

        Args:
            frame: Its number.
            bone_colours: Of each person, (B, 4).
            joint_colours: Of each person, (V, 4).
            edges: Colours around bones, and around joints if any.
            dashes: Of each person, (B,) bool, bones that are dotted, if any.
        """
        clip = self._clip
        child, parent = np.array(clip.layout.bones).T
        segments: list[np.ndarray] = []
        colours: list[Any] = []
        widths: list[float] = []
        near: list[float] = []
        styles: list[Any] = []

        # strokes of no length at all are left out by the renderer
        tiny = np.array([[-.5, 0], [.5, 0]]) * 1e-3 * clip.square

        def add(ends: np.ndarray, colour: np.ndarray | str, width: float, depth: float, dotted: bool = False) -> None:
            segments.append(ends)
            colours.append(to_rgba(colour) if isinstance(colour, str) else colour)
            widths.append(width)
            near.append(depth)
            styles.append((0, (1, 1)) if dotted else '-')

        for person in range(clip.num_persons):
            found, at = clip.found[person, frame], clip.placed[person, frame]
            depth = clip.nearness[person, frame]
            middle, top = (depth[child] + depth[parent]) / 2, depth.copy()
            for ends in (child, parent):
                np.maximum.at(top, ends, middle)
            for i in np.flatnonzero(found[child] & found[parent]):
                line, dotted = at[[child[i], parent[i]]], dashes is not None and bool(dashes[person][i])
                # not up to its ends, where it would cut the next bone off
                add(line + _EDGE * (line[::-1] - line), edges[0], self._bone + 1.2, middle[i])
                add(line, bone_colours[person][i], self._bone, middle[i], dotted)
            for joint in np.flatnonzero(found):
                dot = at[[joint, joint]] + tiny
                if edges[1] is not None:
                    add(dot, edges[1], self._joint + .8, top[joint])
                add(dot, joint_colours[person][joint], self._joint, top[joint])
        # equal ones stay as they were added: a bone on its edge, a joint on its bones
        order = np.argsort(near, kind='stable')
        self.lines.set_segments([segments[i] for i in order])
        self.lines.set_color([colours[i] for i in order])
        self.lines.set_linewidth([widths[i] for i in order])
        self.lines.set_linestyle([styles[i] for i in order] or '-')
