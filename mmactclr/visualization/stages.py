"""The stages of a sequence from the recording to the views that a method trains on, as clips to draw."""
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmactclr.datasets import SkeletonArchive
from mmactclr.errors import DataError
from mmactclr.structures import Layout
from mmactclr.transforms import fit_adapter
from mmactclr.transforms.streams import from_bone

from .motion_clip import MotionClip

# recordings that the up axis is estimated from
_SAMPLE = 200


def upright(archive: SkeletonArchive, up: str | None = None) -> tuple[str, np.ndarray]:
    """The axis of an archive that points up, and the (C, C) matrix for row vectors that turns it to +y.

    Estimated as :func:`~mmactclr.transforms.fit_adapter` does, unless ``up`` says it; flat data stay as they are.
    """
    if archive.num_axes == 2:
        return '', np.eye(2)
    sample = np.unique(np.linspace(0, len(archive) - 1, min(_SAMPLE, len(archive))).astype(int))
    try:
        adapter = fit_adapter([archive.sequence(i) for i in sample], archive.layout, archive.layout,
                              str(archive.meta.get('unit', '')), up)
    except DataError:
        # nobody is seen with shoulders and hips: the recording is shown as it is
        return '+y', np.eye(3)
    return adapter.up, replace(adapter, mirrored=False).rotation()


def upright_recording(keypoint: np.ndarray, layout: Layout, up: str | None = None) -> np.ndarray:
    """A recording (M, T, V, C) turned so that +y is up, estimated unless ``up`` says what was; flat ones stay."""
    if keypoint.shape[-1] == 2:
        return keypoint
    try:
        turn = replace(fit_adapter([keypoint], layout, layout, 'm', up), mirrored=False).rotation()
    except DataError:
        # nobody is seen with shoulders and hips: the recording is shown as it is
        return keypoint
    return keypoint @ turn.astype(keypoint.dtype)


def raw_clip(archive: SkeletonArchive, i: int, up: str, turn: np.ndarray) -> MotionClip:
    """Sequence ``i`` as it lies in the archive, turned upright (see :func:`upright`).

    Raises:
        DataError: If it has coordinates that are not finite, or no frames.
    """
    keypoint = np.asarray(archive.sequence(i))
    notes = [archive.layout.name, f'unit {archive.meta.get("unit") or "unknown"}']
    if up not in ('', '+y'):
        notes.append(f'{up} turned up')
        keypoint = keypoint @ turn.astype(np.float32)
    try:
        unit = str(archive.meta.get('unit') or '')
        clip = MotionClip('raw', keypoint, archive.layout, unit='' if unit == 'unknown' else unit)
        there = clip.found.any(-1)
        if there.any() and (lost := 1 - clip.found[there].mean()):
            notes.append(f'{lost:.1%} of the joints not found')
        return replace(clip, notes=tuple(notes))
    except DataError as error:
        raise DataError(f'{archive.path}, {str(archive.column("name")[i])!r}: {error}') from error


def prepared_clip(keypoint: Tensor, mask: Tensor, layout: Layout) -> MotionClip:
    """Prepared joints (M, T, V, C) with the mask (M,) of who is there."""
    return MotionClip('prepared', keypoint.numpy(), layout, mask.numpy(), centred=True,
                      notes=(layout.name, f'{keypoint.shape[1]} frames'), unit='m')


def view_clips(views: Mapping[str, Any], i: int, layout: Layout, streams: Sequence[str],
               names: Sequence[str]) -> list[MotionClip]:
    """Every view of sequence ``i`` of a batch, in every stream.

    Joints are drawn as they are. Bones are put together from the centre outwards. Motion is drawn as arrows, enlarged,
    on the joints of the same view.

    Args:
        views: What :class:`~mmactclr.models.data_preprocessor.ContrastivePreprocessor` gives in training: ``inputs``
            ``{stream: {view: (N, M, T, V, C)}}`` with the joint stream among them, ``masks`` and ``mixes`` by view.
        i: Position in the batch.
        layout: Layout of the views.
        streams: Those to show.
        names: What the sequences of the batch are called.
    """
    clips = []
    for view, mask in views['masks'].items():
        mix = views['mixes'].get(view)
        there, mixed = dict(mask=mask[i].numpy(), centred=True, unit='m'), []
        own = torch.ones(()) if mix is None else mix.own[i]
        if bool((own < 1).any()):
            there['borrowed'] = (own < 1).numpy()
            mixed = [f'{own[mask[i]].mean():.0%} own, the rest from {names[int(mix.partner[i])]}']
        for stream in streams:
            values = views['inputs'][stream][view][i].float()
            label = f'{view}, {stream}'
            notes = [*_masked_axes(values, own), *mixed]
            if stream == 'motion':
                pose = views['inputs']['joint'][view][i].float()
                clip = MotionClip(label, pose.numpy(), layout, motion=values.numpy(), **there)
                enlarged = f'steps to the next frame, {clip.arrow_scale:.2g} times as long'
                clips.append(replace(clip, notes=(enlarged, *notes)))
            else:
                joints = from_bone(values, layout) if stream == 'bone' else values
                clips.append(MotionClip(label, joints.numpy(), layout, notes=tuple(notes), **there))
    return clips


def _masked_axes(values: Tensor, own: Tensor) -> list[str]:
    """Says which axes an augmentation has set to zero in what is the sequence's own."""
    kept = values[(own == 1).expand(values.shape[:-1])]
    empty = ['xyz'[axis] for axis in range(values.shape[-1]) if kept.numel() and not kept[:, axis].any()]
    return [f'{" and ".join(empty)} set to zero'] if empty and kept.any() else []


def choose_sequences(archive: SkeletonArchive, positions: np.ndarray, number: int, classes: Sequence[str] = (),
                     names: Sequence[str] = (), seed: int = 0) -> np.ndarray:
    """At most ``number`` of the sequences at ``positions``, of as many classes as possible; ascending.

    Args:
        archive: Where they lie.
        positions: Positions in the archive to choose from.
        number: How many.
        classes: Only of these classes, if any.
        names: Only those of these names, if any; all of them, whatever ``number`` says.
        seed: Of the choice within a class.

    Raises:
        DataError: If a class or a name is not there, or nothing is left.
    """
    labels, called = archive.labels[positions], archive.column('name')[positions].astype(str)
    kept = np.ones(len(positions), bool)
    if classes:
        _check_known('class', classes, list(map(str, archive.classes)), archive)
        kept &= np.isin(labels, [k for k, name in enumerate(archive.classes) if str(name) in classes])
    if names:
        _check_known('sequence', names, called.tolist(), archive)
        kept &= np.isin(called, names)
    if not kept.any():
        raise DataError(f'{archive.path}: none of {len(positions)} sequences is of the classes and names asked for')
    positions, labels = positions[kept], labels[kept]
    if names:
        return np.sort(positions)
    shuffled = torch.randperm(len(positions), generator=torch.Generator().manual_seed(seed)).numpy()
    rounds = np.zeros(len(positions), np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        rounds[members] = np.arange(len(members))
    # the first of every class, then the second of every class, ...
    order = shuffled[np.argsort(rounds[shuffled], kind='stable')]
    return np.sort(positions[order[:number]])


def _check_known(what: str, wanted: Sequence[str], known: Sequence[str], archive: SkeletonArchive) -> None:
    missing = [name for name in wanted if name not in known]
    if missing:
        shown = sorted(set(known))
        more = f' and {len(shown) - 10} more' if shown[10:] else ''
        raise DataError(f'{archive.path}: no {what} to choose from is called {", ".join(map(repr, missing))}; there '
                        f'are {", ".join(shown[:10]) or "none"}{more}')
