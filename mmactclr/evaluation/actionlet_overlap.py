"""Does the actionlet converge to the motion region (Eq. 3)? Overlap with the joints that are known to move."""
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.synthetic import Nuisance, SyntheticSet, make_synthetic
from mmactclr.errors import ConfigError, DataError
from mmactclr.models.heads import select_region
from mmactclr.transforms.temporal import half_pixel_centres, sample_frames

from .actionlet_limbs import shuffle_joints

# arguments of the generator that a synthetic archive keeps beside its nuisances
_SIZE = ('num_subjects', 'repeats', 'num_cameras', 'seed')
# metres by which a sequence made again may differ: other machines round sines otherwise, other versions move limbs
_SAME = 1e-3
# orders of the joints that the chance level is the mean of
_CHANCE_ORDERS = 8


def motion_region(archive: SkeletonArchive, index: Sequence[int], num_frames: int, cells: int,
                  max_persons: int = 2) -> Tensor:
    """The motion region M of Eq. 3 (supplement of Lin et al., CVPR 2023) on the grid of a feature map.

    What moves in every frame is resized in time as the default preparation resizes the frames. A cell belongs to M
    where its joint moves in more than half of the frames that lie nearest to the cell, on the grid of
    :func:`~mmactclr.models.heads.upsample_region`.

    Args:
        archive: The built-in synthetic set; it is generated again with its moving joints.
        index: Positions in the archive, N of them.
        num_frames: Frames T of the prepared sequences.
        cells: Cells T' of the feature map along time.
        max_persons: Persons M of the prepared sequences.

    Returns:
        (N, M, T', V) bool, False for absent persons.

    Raises:
        ConfigError: If the archive is no synthetic one, or one of another version of the generator.
    """
    made = _generate_again(archive)
    moving = torch.stack([_prepared_motion(archive, made, int(i), num_frames, max_persons) for i in index])
    nearest = (torch.arange(num_frames) * ((cells - 1) / max(num_frames - 1, 1))).round().long()
    share = moving.new_zeros(*moving.shape[:2], cells, moving.shape[3]).index_add(2, nearest, moving)
    return share / nearest.bincount(minlength=cells)[:, None] > 0.5


def overlap(actionlet: Tensor, region: Tensor) -> dict[str, float]:
    """How well actionlets A meet motion regions M, mean over the persons who move.

    The chance level is that of the same A with its joints in random order: it knows when something moves, not what.

    Args:
        actionlet: (N, M, T', V) raw actionlets.
        region: (N, M, T', V) bool, from :func:`motion_region`.

    Returns:
        ``overlap_iou``, intersection over union of M and the binary selection of A; ``on_motion``, the share of the
        raw A that lies on M, zero where A is zero everywhere; and ``overlap_iou_chance`` and ``on_motion_chance``.

    Raises:
        DataError: If the shapes differ or nobody moves.
    """
    if actionlet.shape != region.shape:
        raise DataError(f'overlap: the actionlet has shape {tuple(actionlet.shape)}, the region '
                        f"{tuple(region.shape)}; expected the same (N, M, T', V)")
    moves = region.flatten(2).any(-1)
    if not moves.any():
        raise DataError('overlap: nobody moves in these sequences; expected at least one person with a motion region')
    actionlet, region = actionlet[moves].double(), region[moves]
    orders = [_scores(shuffle_joints(actionlet, order), region) for order in range(_CHANCE_ORDERS)]
    chance = {f'{name}_chance': sum(scores[name] for scores in orders) / len(orders) for name in orders[0]}
    return {**_scores(actionlet, region), **chance}


def _scores(actionlet: Tensor, region: Tensor) -> dict[str, float]:
    """``overlap_iou`` and ``on_motion`` of (P, T', V) actionlets and regions, none of which is empty."""
    selected = select_region(actionlet, 'binary') > 0
    iou = (selected & region).sum((1, 2)) / (selected | region).sum((1, 2))
    total = actionlet.sum((1, 2))
    on_motion = (actionlet * region).sum((1, 2)) / torch.where(total > 0, total, 1.0)
    return {'overlap_iou': iou.double().mean().item(), 'on_motion': on_motion.mean().item()}


def _generate_again(archive: SkeletonArchive) -> SyntheticSet:
    """The synthetic set that an archive was written from."""
    extra = archive.meta.get('extra') or {}
    if not {*_SIZE, 'nuisance'} <= extra.keys():
        raise ConfigError(
            f'{archive.path}: which joints move is known for the built-in synthetic set alone, the source of this '
            f"archive is {archive.meta.get('source')!r}; take ActionletOverlapHook out of the config or set data_root "
            "to what 'tools/dataset_converters/convert.py synthetic - DST' writes")
    try:
        nuisance = Nuisance(**{name: cast(Any, tuple(value)) if isinstance(value, list) else value
                               for name, value in extra['nuisance'].items()})
    except TypeError as error:
        raise _other_version(archive, str(error)) from error
    made = make_synthetic(**{name: extra[name] for name in _SIZE}, nuisance=nuisance)
    if len(made) != len(archive):
        raise _other_version(archive, f'it has {len(archive)} sequences, the set made again {len(made)}')
    return made


def _prepared_motion(archive: SkeletonArchive, made: SyntheticSet, i: int, num_frames: int,
                     max_persons: int) -> Tensor:
    """What moves in a sequence, (M, T, V) float in [0, 1], at the frames of its preparation."""
    archived = archive.sequence(i)
    if archived.shape != made.sequences[i].shape or not np.allclose(archived, made.sequences[i], rtol=0, atol=_SAME):
        raise _other_version(archive, f'sequence {i} differs from the one made again')
    moving = torch.from_numpy(made.moving[i][:max_persons]).float()
    length = torch.tensor([moving.shape[1]])
    resized = sample_frames(moving[None, ..., None], half_pixel_centres(num_frames, length), length)[0, ..., 0]
    return torch.cat([resized, resized.new_zeros(max_persons - len(resized), *resized.shape[1:])])


def _other_version(archive: SkeletonArchive, found: str) -> ConfigError:
    return ConfigError(f'{archive.path} was generated by another version of the synthetic set ({found}), so what moves '
                       'in it is unknown; write it again: tools/dataset_converters/convert.py synthetic - DST')
