"""Does the actionlet lie on the limb that a class is named after? For recordings nobody has marked joint by joint."""
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmactclr.structures import Layout

#: Body parts after the trunk, in the order of every layout.
LIMBS = ('right_arm', 'left_arm', 'right_leg', 'left_leg')
_ARMS, _LEGS = LIMBS[:2], LIMBS[2:]
_WORDS = {'arm': 'arm', 'hand': 'arm', 'foot': 'leg', 'leg': 'leg'}
_MIRRORED = {'right_arm': 'left_arm', 'left_arm': 'right_arm', 'right_leg': 'left_leg', 'left_leg': 'right_leg'}


def named_limbs(name: str) -> tuple[str, ...]:
    """Limbs that the name of a class names: one of a side, or a pair of them.

    ``right hand wave`` names the right arm, ``forward lunge (left foot forward)`` the left leg, ``two hand push`` and
    ``cross arms in the chest`` both arms. A side alone (``baseball swing from right``) names none.

    Returns:
        Names of :data:`LIMBS`; none if the class names no limb.
    """
    text = name.lower()
    found = re.findall(r'\b(right|left)\W+(arm|hand|foot|leg)\b', text)
    if found:
        limbs = {f'{side}_{_WORDS[word]}' for side, word in found}
    else:
        pairs = re.findall(r'\b(?:two|both)\W+(arm|hand|foot|leg|feet)s?\b|\b(arms|hands|legs|feet)\b', text)
        kinds = {'leg' if (one or many) in ('foot', 'feet', 'leg', 'legs') else 'arm' for one, many in pairs}
        limbs = {limb for kind in kinds for limb in (_ARMS if kind == 'arm' else _LEGS)}
    return tuple(limb for limb in LIMBS if limb in limbs)


def mirrored_limbs(limbs: Sequence[str]) -> tuple[str, ...]:
    """The same limbs of somebody seen in a mirror."""
    return tuple(limb for limb in LIMBS if _MIRRORED[limb] in limbs)


@dataclass(frozen=True)
class LimbScores:
    """How often the named limb was found, in %.

    Attributes:
        classes: By class, those alone that name limbs: share of its sequences.
        arms: Mean over the classes that name one arm; NaN if there is none.
        legs: The same of one leg.
        pairs: The same of both arms or both legs; both have to come before all other limbs.
    """

    classes: dict[str, float]
    arms: float
    legs: float
    pairs: float

    @property
    def balanced(self) -> float:
        """Mean of arms and legs: always guessing the arm that is named most often has half of it at most."""
        return (self.arms + self.legs) / 2


def limb_scores(weight: Tensor, labels: Tensor, limbs: Mapping[int, tuple[str, Sequence[str]]],
                layout: Layout) -> LimbScores:
    """Compare the limb with the highest mean weight with the one that is named.

    Args:
        weight: (N, M, T', V) raw actionlets, or any other weight of joints; zero for absent persons.
        labels: (N,) classes.
        limbs: Name and limbs of the classes that name some.
        layout: Joint layout.
    """
    means = torch.stack([weight[..., list(layout.parts[limb])].double().mean((1, 2, 3)) for limb in LIMBS], 1)
    order = means.argsort(1, descending=True)
    classes: dict[str, float] = {}
    groups: dict[str, list[float]] = {'arm': [], 'leg': [], 'pair': []}
    for label, (name, named) in limbs.items():
        rows = order[labels == label]
        if not named or not len(rows):
            continue
        wanted = torch.tensor(sorted(LIMBS.index(limb) for limb in named))
        # a weight that is zero everywhere finds nothing, whatever stands first
        hit = (rows[:, :len(named)].sort(1).values == wanted).all(1) & (means[labels == label].amax(1) > 0)
        classes[name] = 100 * hit.double().mean().item()
        groups['pair' if len(named) > 1 else named[0].rpartition('_')[2]].append(classes[name])
    mean = {kind: sum(values) / len(values) if values else float('nan') for kind, values in groups.items()}
    return LimbScores(classes, mean['arm'], mean['leg'], mean['pair'])


def motion_energy(joints: Tensor) -> Tensor:
    """Speed of every joint, what a weight without an encoder would be.

    Args:
        joints: (N, M, T, V, C) prepared joints.

    Returns:
        (N, M, T - 1, V) length of the step to the next frame, in the unit of the joints.
    """
    return joints.diff(dim=2).norm(dim=-1)
