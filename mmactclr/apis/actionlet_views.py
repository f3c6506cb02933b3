"""Does a sequence keep its actionlet when it is transformed or seen from elsewhere? (figure 6 of the supplement)"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmactclr.models.heads import select_region
from mmactclr.structures import Layout
from mmactclr.transforms import SampleRandom, build_transforms, mirror
from mmactclr.transforms.spatial import linear_map, rotation_matrix
from mmactclr.transforms.temporal import sample_frames

# degrees about the vertical axis from which a body is looked at
_VIEWS = (30, 60, 90)
# share of the sequence that the cropped copy shows
_WINDOW = .7
# the paper's constants, each applied to every sequence
_RANDOM = {
    'shear': dict(type='RandomShear', amplitude=.5), 'noise, 1 cm': dict(type='GaussianNoise', std=.01, p=1.),
    'noise, 5 cm': dict(type='GaussianNoise', std=.05, p=1.), 'blur over time': dict(type='GaussianBlur', p=1.),
    'other proportions': dict(type='BoneJitter')}

Back = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TransformedCopy:
    """A copy of sequences, and how its actionlet is brought back to the original's joints and moments.

    Attributes:
        name: What was done.
        keypoint: (N, M, T, V, C).
        back: Maps actionlets (N, M, T', V) of the copy to the original; NaN in cells that the copy does not show.
    """

    name: str
    keypoint: Tensor
    back: Back


@dataclass(frozen=True)
class Agreement:
    """The actionlet of a copy beside that of its original.

    Attributes:
        name: What was done.
        keypoint: (N, M, T, V, C) the copy.
        own: (N, M, T', V) its raw actionlet.
        back: (N, M, T', V) the same on joints and moments of the original, NaN where the copy does not show them.
        iou: (N,) intersection over union of what is selected in ``back`` and in the original, mean over persons.
    """

    name: str
    keypoint: Tensor
    own: Tensor
    back: Tensor
    iou: Tensor


def transformed_copies(keypoint: Tensor, mask: Tensor, layout: Layout, seed: int = 0) -> list[TransformedCopy]:
    """Copies of prepared sequences from other views, mirrored, sheared, with noise, cut out and reversed in time.

    Args:
        keypoint: (N, M, T, V, C).
        mask: (N, M) persons present.
        layout: Joint layout.
        seed: Of shear, noise, blur and proportions.
    """
    copies, flip = [], list(layout.flip_index)
    if keypoint.shape[-1] == 3:
        for degrees in _VIEWS:
            angles = torch.tensor([[0., math.radians(degrees), 0.]]).expand(len(keypoint), 3)
            turned = linear_map(keypoint, rotation_matrix(angles), layout.centre)
            copies.append(TransformedCopy(f'seen from {degrees}°', turned, _same))
    copies.append(TransformedCopy('mirrored', mirror(keypoint, layout), lambda a: a[..., flip]))
    for name, step in _RANDOM.items():
        random = SampleRandom(seed, 0, range(len(keypoint)), name)
        changed = build_transforms([step])[0](dict(keypoint=keypoint, mask=mask, layout=layout, random=random))
        copies.append(TransformedCopy(name, changed['keypoint'], _same))
    last = keypoint.shape[2] - 1
    first = (1 - _WINDOW) / 2 * last
    where = torch.linspace(first, first + _WINDOW * last, keypoint.shape[2]).expand(len(keypoint), -1)
    copies.append(TransformedCopy(f'middle {_WINDOW:.0%} of it', sample_frames(keypoint, where), _from_middle))
    copies.append(TransformedCopy('backwards in time', keypoint.flip(2), lambda a: a.flip(2)))
    return copies


def actionlet_agreement(find: Callable[[Tensor, Tensor], Tensor], keypoint: Tensor, mask: Tensor, layout: Layout,
                        seed: int = 0) -> tuple[Tensor, list[Agreement]]:
    """Actionlets of sequences and of transformed copies of them, and how far they agree.

    What is selected is A above its mean over the cells that both show, the ``binary`` selection of the method.

    Args:
        find: From :func:`~mmactclr.apis.actionlets.actionlet_finder`.
        keypoint: (N, M, T, V, C) prepared joints.
        mask: (N, M) persons present.
        layout: Joint layout.
        seed: See :func:`transformed_copies`.

    Returns:
        Raw actionlets (N, M, T', V) of the originals, and what was found in each copy; last, where N is more than one,
        the actionlet of the next of these sequences, which says what agreement there is without a reason.
    """
    original = find(keypoint, mask)
    found = []
    for each in transformed_copies(keypoint, mask, layout, seed):
        own = find(each.keypoint, mask)
        back = each.back(own)
        found.append(Agreement(each.name, each.keypoint, own, back, selection_iou(original, back, mask)))
    if len(keypoint) > 1:
        other = original.roll(-1, 0)
        found.append(Agreement('another sequence', keypoint.roll(-1, 0), other, other,
                               selection_iou(original, other, mask & mask.roll(-1, 0))))
    return original, found


def selection_iou(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union of two binary selections, mean over the persons present.

    Args:
        first: (N, M, T', V) raw actionlets.
        second: (N, M, T', V) of others, NaN in cells that do not count.
        mask: (N, M) persons that count.

    Returns:
        (N,); NaN where nobody counts. Two empty selections agree.
    """
    ious = torch.full(mask.shape, torch.nan, dtype=torch.float64)
    for n, m in mask.nonzero().tolist():
        cells = second[n, m].isfinite().all(-1)
        a, b = (select_region(each[n, m, cells][None].double(), 'binary')[0] > 0 for each in (first, second))
        union = int((a | b).sum())
        ious[n, m] = int((a & b).sum()) / union if union else 1.
    return ious.nanmean(1)


def _same(actionlet: Tensor) -> Tensor:
    return actionlet


def _from_middle(actionlet: Tensor) -> Tensor:
    """The actionlet of the cropped copy at the cells of the original; cells are spread over T - 1 steps in both."""
    cells = actionlet.shape[2]
    position = (torch.arange(cells) / max(cells - 1, 1) - (1 - _WINDOW) / 2) / _WINDOW * (cells - 1)
    inside = (position >= -1e-6) & (position <= cells - 1 + 1e-6)
    position = position.clamp(0, cells - 1)
    left = position.floor().long()
    right = (left + 1).clamp(max=cells - 1)
    read = torch.lerp(actionlet[:, :, left], actionlet[:, :, right], (position - left)[:, None].to(actionlet))
    return torch.where(inside[:, None], read, torch.nan)
