"""The persons of a clip on axes, one frame at a time."""
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.lines import Line2D
from matplotlib.quiver import Quiver

from mmactclr.structures import Layout

from .motion_clip import MotionClip
from .skeleton import WEIGHT_COLOURS, Limits, draw_skeleton, show_plane
from .space import Scene, SpaceClip, Strokes

# the person's own sides: warm is right, cold is left
PART_COLOURS = {'trunk': '#4d4d4d', 'right_arm': '#d62728', 'left_arm': '#1f77b4', 'right_leg': '#ff7f0e',
                'left_leg': '#17a08c'}
# joints say who it is; further persons have the last one
PERSON_COLOURS = ('black', '#c51bd1', '#8c6d31')
_PALE, _BORROWED = '0.78', (0, (1, 1))
# square points: limbs are to be seen between the joints of a hand, too
_JOINT = 3.
_WEIGHTED_JOINT = 9.
# how far the limbs of the second and further persons are from white
_TINT = .55


class Drawn(Protocol):
    """Everybody of a clip on axes."""

    def show(self, frame: int) -> None:
        """Draw a frame."""


def draw_bodies(ax: Axes, clip: MotionClip, limits: Limits) -> Drawn:
    """Everybody of a clip: in the plane, or in space if the clip is seen from a viewpoint."""
    return SpaceBodies(ax, clip, limits) if isinstance(clip, SpaceClip) else Bodies(ax, clip, limits)


class Bodies:
    """Everybody of a clip in the plane, as :meth:`show` last showed them.

    Args:
        ax: Axes to draw on.
        clip: What to draw.
        limits: Part of the plane to show.

    Attributes:
        bones (list[LineCollection]): One for each person.
        joints (list[PathCollection]): One for each person.
        arrows (list[Quiver]): One for each person, where the clip is a motion stream.
    """

    def __init__(self, ax: Axes, clip: MotionClip, limits: Limits) -> None:
        self._clip = clip
        self.bones: list[LineCollection] = []
        self.joints: list[PathCollection] = []
        self.arrows: list[Quiver] = []
        self._colours = [_part_colours(clip.layout, person) for person in range(clip.num_persons)]
        for person in range(clip.num_persons):
            bones, joints = draw_skeleton(ax, clip.placed[person, 0], clip.layout, limits=limits)
            joints.set(sizes=[_JOINT if clip.weight is None else _WEIGHTED_JOINT],
                       facecolor=_PALE if clip.motion is not None else _of(PERSON_COLOURS, person),
                       edgecolor='none')
            self.bones.append(bones)
            self.joints.append(joints)
            if clip.motion is not None:
                nothing = np.zeros(clip.layout.num_joints)
                self.arrows.append(ax.quiver(
                    nothing, nothing, nothing, nothing, color=self._colours[person], angles='xy', scale_units='xy',
                    scale=1, units='inches', width=.012, headwidth=3.5, headlength=4, zorder=3))

    def show(self, frame: int) -> None:
        """Draw frame ``frame``; who is absent then is not drawn."""
        child, parent = np.array(self._clip.layout.bones).T
        for person, (bones, joints) in enumerate(zip(self.bones, self.joints, strict=True)):
            found, positions = self._clip.found[person, frame], self._clip.placed[person, frame]
            drawn = found[child] & found[parent]
            bones.set_segments(np.stack([positions[child], positions[parent]], 1)[drawn])
            bones.set_color(_PALE if self.arrows else self._colours[person][child][drawn])
            if self._clip.weight is not None:
                weight = self._clip.weight[person, frame]
                bones.set_color(WEIGHT_COLOURS((weight[child] + weight[parent])[drawn] / 2))
                joints.set(facecolor=WEIGHT_COLOURS(weight[found]), edgecolor='0.35', linewidth=.3)
            if self._clip.borrowed is not None:
                borrowed = self._clip.borrowed[person, frame]
                bones.set_linestyle([_BORROWED if borrowed[joint] else '-' for joint in child[drawn]] or '-')
            joints.set_offsets(positions[found])
            for artist in (bones, joints):
                artist.set_visible(bool(found.any()))
            if self.arrows:
                self._point(self.arrows[person], person, frame)

    def _point(self, arrows: Quiver, person: int, frame: int) -> None:
        found, motion = self._clip.found[person, frame], self._clip.motion
        if motion is None:
            return
        steps = np.where(found[:, None], motion[person, frame, :, :2] * self._clip.arrow_scale, 0)
        arrows.set_offsets(self._clip.placed[person, frame])
        arrows.set_UVC(*steps.T)
        arrows.set_visible(bool(found.any()))


class SpaceBodies:
    """Everybody of a clip in space, in the colours of :class:`Bodies`, on a floor; the nearer covers the farther.

    Args:
        ax: Axes to draw on.
        clip: What to draw, and from where it is seen.
        limits: Part of the picture to show.

    Attributes:
        strokes (Strokes): Bones and joints.
        scene (Scene): Floor and shadows.
    """

    def __init__(self, ax: Axes, clip: SpaceClip, limits: Limits) -> None:
        self._clip = clip
        self.scene = Scene(ax, clip)
        self.strokes = Strokes(ax, clip, joint=2. if clip.weight is None else 2.8)
        self._colours = [_part_colours(clip.layout, person) for person in range(clip.num_persons)]
        show_plane(ax, limits)
        self._arrows = None
        if clip.motion is not None:
            nothing = np.zeros(clip.num_persons * clip.layout.num_joints)
            self._arrows = ax.quiver(
                nothing, nothing, nothing, nothing, color=np.concatenate(self._colours), angles='xy', scale_units='xy',
                scale=1, units='inches', width=.012, headwidth=3.5, headlength=4, zorder=3)
        size = f'{clip.square:g} {clip.unit}'.strip()
        ax.text(.99, .01, f'grid {size}', transform=ax.transAxes, ha='right', va='bottom', fontsize=5, color='0.5',
                parse_math=False)

    def show(self, frame: int) -> None:
        """Draw frame ``frame``; who is absent then is not drawn."""
        clip = self._clip
        child, parent = np.array(clip.layout.bones).T
        self.scene.show(frame)
        edges: tuple[str, str | None] = ('white', None)
        if clip.weight is not None:
            weight = clip.weight[:, frame]
            bones = [WEIGHT_COLOURS((own[child] + own[parent]) / 2) for own in weight]
            joints, edges = [WEIGHT_COLOURS(own) for own in weight], ('0.6', '0.35')
        else:
            pale = np.array(to_rgba(_PALE))
            bones = [np.broadcast_to(pale, (len(child), 4)) if clip.motion is not None else
                     np.insert(own[child], 3, 1., 1) for own in self._colours]
            joints = [np.tile(pale if clip.motion is not None else to_rgba(_of(PERSON_COLOURS, person)),
                              (clip.layout.num_joints, 1)) for person in range(clip.num_persons)]
        dashes = None if clip.borrowed is None else list(clip.borrowed[:, frame][:, child])
        self.strokes.show(frame, bones, joints, edges, dashes)
        if self._arrows is not None and clip.motion is not None:
            steps = np.where(clip.found[:, frame, :, None], clip.motion[:, frame, :, :2] * clip.arrow_scale, 0)
            self._arrows.set_offsets(clip.placed[:, frame].reshape(-1, 2))
            self._arrows.set_UVC(*steps.reshape(-1, 2).T)


def legend_handles(clips: Sequence[MotionClip]) -> list[Line2D]:
    """What the colours and lines of these clips mean."""
    handles = [Line2D([], [], color=colour, linewidth=2, label=part.replace('_', ' '))
               for part, colour in PART_COLOURS.items()]
    if all(clip.weight is not None for clip in clips):
        handles = [Line2D([], [], color=WEIGHT_COLOURS(weight), marker='o', markersize=4, markeredgecolor='0.35',
                          markeredgewidth=.3, linewidth=2, label=text)
                   for weight, text in clips[0].weight_key]
    persons = min(max(clip.num_seen for clip in clips), len(PERSON_COLOURS))
    if persons > 1 and not all(clip.weight is not None for clip in clips):
        handles += [Line2D([], [], color=_of(PERSON_COLOURS, person), marker='o', markersize=4, linestyle='',
                           label=f'joints of person {person + 1}') for person in range(persons)]
    if any(clip.borrowed is not None for clip in clips):
        handles.append(Line2D([], [], color='0.3', linewidth=2, linestyle=_BORROWED,
                              label='taken from another sequence'))
    return handles


def _of(colours: Sequence[str], person: int) -> str:
    return colours[min(person, len(colours) - 1)]


def _part_colours(layout: Layout, person: int) -> np.ndarray:
    """(V, 3) colour of every joint's part."""
    colours = np.zeros((layout.num_joints, 3))
    for part, members in layout.parts.items():
        colours[list(members)] = to_rgb(PART_COLOURS[part])
    return colours if person == 0 else 1 - _TINT * (1 - colours)
