"""Parametric actions: joint angles of a body as smooth functions of an action's progress.

An action is a function of a :class:`Clock` that returns, for the joint angles it drives, what it
adds to the posture of that moment, in degrees. All else (posture, subject, camera, noise) is the
business of ``synthetic.py``.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Angles = dict[str, np.ndarray]


@dataclass(frozen=True)
class Clock:
    """When and how an action is carried out.

    Attributes:
        progress: (T,) from 0 (not begun, idle head) to 1 (over, idle tail).
        repetitions: Number of cycles between the two.
        phase: Where in its cycle a periodic action begins, radians.
        amplitude: Size of the movement, 1 is the nominal one.
        style: (4,) in [-1, 1], choices that leave the class as it is, such as the plane of a raise.
    """

    progress: np.ndarray
    repetitions: float
    phase: float
    amplitude: float
    style: np.ndarray

    @property
    def hold(self) -> np.ndarray:
        """(T,) 0 at rest, 1 while the action lasts, smooth between; a larger action holds more."""
        ramp = np.clip(np.minimum(self.progress, 1 - self.progress) / .2, 0, 1)
        return _smooth(ramp) * (.6 + .4 * self.amplitude)

    @property
    def step(self) -> np.ndarray:
        """(T,) smooth transition from 0 to the amplitude."""
        return _smooth(self.progress) * self.amplitude

    def wave(self, shift: float = 0.) -> np.ndarray:
        """(T,) oscillation of the amplitude while the action lasts, ``shift`` in cycles."""
        turns = self.repetitions * self.progress + shift
        return np.sin(2 * np.pi * turns + self.phase) * self.hold * self.amplitude

    def pulse(self, shift: float = 0.) -> np.ndarray:
        """(T,) the same as ``wave``, between 0 and the amplitude, at rest 0."""
        turns = self.repetitions * self.progress + shift
        half = .5 - .5 * np.cos(2 * np.pi * turns + self.phase)
        return half * np.clip(self.hold, 0, 1) * self.amplitude

    def reversed(self) -> Clock:
        """The same action played backwards."""
        return replace(self, progress=1 - self.progress)


def _smooth(ramp: np.ndarray) -> np.ndarray:
    return ramp * ramp * (3 - 2 * ramp)


def _wave(clock: Clock, side: str) -> Angles:
    return {f'{side}_shoulder_abduct': (70 + 25 * clock.style[0]) * clock.hold + 12 * clock.wave(),
            f'{side}_shoulder_twist': -85 * clock.hold,
            f'{side}_elbow_flex': (65 + 15 * clock.style[1]) * clock.hold + 40 * clock.wave()}


def _circle(clock: Clock, side: str) -> Angles:
    return {f'{side}_shoulder_flex': (70 + 20 * clock.style[0]) * clock.hold + 35 * clock.wave(.25),
            f'{side}_shoulder_abduct': 15 * clock.hold + 35 * clock.wave(),
            f'{side}_elbow_flex': (25 + 20 * clock.style[1]) * clock.hold}


def _raise(clock: Clock, side: str) -> Angles:
    forward = .5 + .5 * clock.style[0]
    return {f'{side}_shoulder_flex': 135 * forward * clock.step,
            f'{side}_shoulder_abduct': 135 * (1 - forward) * clock.step,
            f'{side}_elbow_flex': (15 + 15 * clock.style[1]) * clock.step}


def _kick(clock: Clock, side: str) -> Angles:
    return {f'{side}_hip_flex': 75 * clock.pulse() - 12 * clock.wave(.3),
            f'{side}_hip_abduct': 10 * clock.style[0] * clock.pulse(),
            f'{side}_knee_flex': 60 * clock.pulse(.3)}


def _kick_with_arms(clock: Clock, side: str) -> Angles:
    other = 'left' if side == 'right' else 'right'
    balance = {f'{arm}_shoulder_{way}': degrees * clock.pulse() for arm, way, degrees in (
        (other, 'flex', 40), (side, 'flex', -30), (side, 'abduct', 20))}
    return balance | _kick(clock, side) | {'root_pitch': -8 * clock.pulse()}


def _sit(clock: Clock) -> Angles:
    down = np.minimum(clock.step, 1.1)
    lean = (25 + 10 * clock.style[0]) * np.sin(np.pi * _smooth(clock.progress))
    bend = {'root_pitch': lean}
    for side in ('right', 'left'):
        bend |= {f'{side}_hip_flex': 85 * down + lean, f'{side}_knee_flex': 85 * down}
    return bend


def _squat(clock: Clock) -> Angles:
    down = clock.hold * clock.amplitude
    lean = (20 + 10 * clock.style[0]) * down
    bend = {'root_pitch': lean}
    for side in ('right', 'left'):
        bend |= {f'{side}_hip_flex': 65 * down + lean, f'{side}_knee_flex': 80 * down,
                 f'{side}_shoulder_flex': (1.5 + .5 * clock.style[1]) * lean}
    return bend


def _reach_up(clock: Clock) -> Angles:
    reach: Angles = {}
    for side in ('right', 'left'):
        reach |= {f'{side}_shoulder_flex': 130 * clock.hold * clock.amplitude,
                  f'{side}_elbow_flex': (20 + 15 * clock.style[0]) * clock.hold}
    return reach


def _clap(clock: Clock) -> Angles:
    clap: Angles = {}
    for side in ('right', 'left'):
        clap |= {f'{side}_shoulder_flex': (50 + 20 * clock.style[0]) * clock.hold,
                 f'{side}_shoulder_twist': 20 * clock.hold + 30 * clock.wave(),
                 f'{side}_elbow_flex': (65 + 15 * clock.style[1]) * clock.hold}
    return clap


def _bow(clock: Clock) -> Angles:
    bend = clock.hold * clock.amplitude
    return {'root_pitch': 30 * bend, 'right_hip_flex': 30 * bend, 'left_hip_flex': 30 * bend,
            'spine_flex': (30 + 10 * clock.style[0]) * bend, 'neck_flex': 15 * bend}


def _march(clock: Clock) -> Angles:
    march: Angles = {}
    for side, shift in (('right', 0.), ('left', .5)):
        march |= {f'{side}_hip_flex': 55 * clock.pulse(shift),
                  f'{side}_knee_flex': 75 * clock.pulse(shift),
                  f'{side}_shoulder_flex': 30 * clock.wave(shift + .25),
                  f'{side}_elbow_flex': 30 * (1 + clock.style[0]) * clock.hold}
    return march


def _shake_hands(clock: Clock) -> Angles:
    return {'right_shoulder_flex': (35 + 10 * clock.style[0]) * clock.hold + 12 * clock.wave(),
            'right_elbow_flex': (50 + 10 * clock.style[1]) * clock.hold + 12 * clock.wave(.1)}


def _push(clock: Clock) -> Angles:
    push = {'root_pitch': 10 * clock.pulse()}
    for side in ('right', 'left'):
        push |= {f'{side}_shoulder_flex': 35 * clock.hold + 40 * clock.pulse(),
                 f'{side}_elbow_flex': 95 * clock.hold - 80 * clock.pulse()}
    return push


def _be_pushed(clock: Clock) -> Angles:
    lean = clock.pulse(-.1)
    return {'root_pitch': -14 * lean, 'spine_flex': -12 * lean, 'neck_flex': 15 * lean,
            'right_hip_flex': -25 * lean, 'right_knee_flex': 15 * lean,
            'right_shoulder_abduct': 25 * lean, 'left_shoulder_abduct': 25 * lean}


@dataclass(frozen=True)
class Action:
    """One class of the synthetic set.

    Attributes:
        name: Name of the class.
        limbs: Body parts it uses; the others are free to take any posture.
        drive: Angles of the acting person.
        partner: Angles of the second person, or None for a class of one person.
        seconds: Duration of a single-shot action, or of one cycle of a periodic one.
        repetitions: Least and most cycles.
    """

    name: str
    limbs: tuple[str, ...]
    drive: Callable[[Clock], Angles]
    partner: Callable[[Clock], Angles] | None = None
    seconds: float = 1.6
    repetitions: tuple[int, int] = (1, 1)


def _one_limb(kind: Callable[[Clock, str], Angles], side: str) -> Callable[[Clock], Angles]:
    return lambda clock: kind(clock, side)


def _backwards(drive: Callable[[Clock], Angles]) -> Callable[[Clock], Angles]:
    return lambda clock: drive(clock.reversed())


_LEGS, _ARMS = ('right_leg', 'left_leg'), ('right_arm', 'left_arm')

ACTIONS = (
    Action('wave right', ('right_arm',), _one_limb(_wave, 'right'), None, .7, (1, 2)),
    Action('wave left', ('left_arm',), _one_limb(_wave, 'left'), None, .7, (1, 2)),
    Action('circle right', ('right_arm',), _one_limb(_circle, 'right'), None, .9, (1, 2)),
    Action('circle left', ('left_arm',), _one_limb(_circle, 'left'), None, .9, (1, 2)),
    Action('raise arm', ('right_arm',), _one_limb(_raise, 'right'), None, 1.4),
    Action('lower arm', ('right_arm',), _backwards(_one_limb(_raise, 'right')), None, 1.4),
    Action('sit down', ('trunk', *_LEGS), _sit),
    Action('stand up', ('trunk', *_LEGS), _backwards(_sit)),
    Action('squat', ('trunk', *_LEGS, *_ARMS), _squat, None, 1.4),
    Action('reach up', _ARMS, _reach_up, None, 1.4),
    Action('clap', _ARMS, _clap, None, .7, (1, 2)),
    Action('bow', ('trunk', *_LEGS), _bow, None, 1.4),
    Action('kick right', ('trunk', 'right_leg', *_ARMS), _one_limb(_kick_with_arms, 'right'), None, .9, (1, 2)),
    Action('kick left', ('trunk', 'left_leg', *_ARMS), _one_limb(_kick_with_arms, 'left'), None, .9, (1, 2)),
    Action('march', (*_LEGS, *_ARMS), _march, None, .9, (1, 2)),
    Action('shake hands', ('right_arm',), _shake_hands, _shake_hands, .5, (2, 3)),
    Action('push', _ARMS, _push, _be_pushed, 1.2, (1, 1)),
)

SINGLE_LIMB_ACTIONS = {
    **{f'{side}_arm': tuple(Action(kind.__name__.strip('_'), (f'{side}_arm',),
                                   _one_limb(kind, side), None, seconds, repetitions)
                            for kind, seconds, repetitions in (
                                (_wave, .7, (2, 3)), (_circle, .9, (2, 3)), (_raise, 1.4, (1, 1))))
       for side in ('right', 'left')},
    **{f'{side}_leg': (Action('kick', (f'{side}_leg',), _one_limb(_kick, side), None, 1.1, (1, 3)),)
       for side in ('right', 'left')},
}
