"""How far the actionlet has become the motion region (Eq. 3), on made-up motion of which the region is known."""
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.synthetic import LAYOUT, Nuisance, make_synthetic
from mmactclr.errors import ConfigError
from mmactclr.models.heads import select_region
from mmactclr.transforms.temporal import half_pixel_centres, sample_frames

_ARGUMENTS = ('num_subjects', 'repeats', 'num_cameras', 'seed')


def motion_region(archive: SkeletonArchive, index: Sequence[int], num_frames: int, max_persons: int,
                  cells: int) -> Tensor:
    """Share of every cell of the feature map in which the action moves the joint.

    The set is made again from the arguments that its archive keeps, and its moving joints are brought to the prepared
    length as the preparation brings the coordinates.

    Args:
        archive: Archive of the built-in set.
        index: Positions of N sequences in it.
        num_frames: Frames T of a prepared sequence.
        max_persons: Persons M of a prepared sequence.
        cells: Cells T' of the feature map.

    Returns:
        (N, M, T', V) in [0, 1], zero for absent persons.

    Raises:
        ConfigError: If the archive does not hold the built-in set.
    """
    extra = archive.meta.get('extra', {})
    if archive.layout.joints != LAYOUT.joints or not {*_ARGUMENTS, 'nuisance'} <= set(extra):
        raise ConfigError(f'{archive.path}: which joints move is known of the built-in set alone; make it with '
                          'tools/dataset_converters/convert.py synthetic - DST, or remove ActionletOverlapHook')
    nuisance = {name: tuple(value) if isinstance(value, list) else value for name, value in extra['nuisance'].items()}
    made = make_synthetic(**{name: extra[name] for name in _ARGUMENTS}, nuisance=Nuisance(**nuisance))
    if len(made) != len(archive) or not np.array_equal(made.sequences[index[0]], archive.sequence(index[0])):
        raise ConfigError(f'{archive.path}: the set that its arguments give is not the one it holds; it was made by '
                          'another version, convert it again')
    regions = []
    for i in index:
        moving = torch.from_numpy(made.moving[i][:max_persons]).float()[None, ..., None]
        length = torch.tensor([moving.shape[2]])
        resized = sample_frames(moving, half_pixel_centres(num_frames, length), length)[0, ..., 0]
        pooled = F.adaptive_avg_pool1d(resized.transpose(1, 2), cells).transpose(1, 2)
        regions.append(F.pad(pooled, (0, 0, 0, 0, 0, max_persons - len(pooled))))
    return torch.stack(regions)


def overlap(actionlet: Tensor, region: Tensor, mask: Tensor) -> dict[str, float]:
    """Overlap of actionlets with the motion region, mean over persons that are there and move.

    Args:
        actionlet: (N, M, T', V) raw actionlets.
        region: (N, M, T', V) from :func:`motion_region`.
        mask: (N, M) persons present.

    Returns:
        ``iou``: intersection over union of the cells above the person's mean with those that move for more than half of
        their time; ``share``: share of A that lies on the region; ``iou_chance`` and ``share_chance``: what as
        many cells chosen at random, and an even A, would give. Empty if nobody moves.
    """
    counts = mask & (region > 0.5).any(-1).any(-1)
    if not counts.any():
        return {}
    a, m = actionlet[counts].double(), region[counts].double()
    chosen, moves = select_region(a, 'binary') > 0, m > 0.5
    both = (chosen & moves).sum((1, 2)).double()
    either = (chosen | moves).sum((1, 2)).double()
    p, q = (part.double().mean((1, 2)) for part in (chosen, moves))
    total = a.sum((1, 2))
    share = torch.where(total > 0, (a * m).sum((1, 2)) / torch.where(total > 0, total, 1.0), 0.0)
    means = dict(iou=both / either, iou_chance=p * q / (p + q - p * q), share=share, share_chance=m.mean((1, 2)))
    return {name: value.mean().item() for name, value in means.items()}
