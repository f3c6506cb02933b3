"""Prepared skeleton sequences, fetched a whole batch at a time."""
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Dataset

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import DATASETS, FUNCTIONS
from mmactclr.structures.layouts import Layout, get_layout, list_layouts
from mmactclr.transforms.adaptation import SkeletonAdapter, fit_adapter

from .archive import SkeletonArchive
from .label_subset import draw_label_subset, read_label_subset
from .prepared import prepared_sequences
from .splits import PARTS

BANK, QUERY = 0, 1


@DATASETS.register_module()
class SkeletonDataset(Dataset):
    """One part of one split of a skeleton archive, at a fixed size.

    Samples are dicts of tensors: ``inputs`` (M, T, V, C) float32 prepared joints, zero where nobody
    is; ``mask`` (M,) bool, who is there; ``index`` int64, the position in the archive; ``label``
    int64; ``role`` int64, 0 for the bank (training part), 1 for a query (test part). Loaders that
    know ``__getitems__`` get a whole batch in one step, each tensor with a leading N.

    Args:
        data_root: Archive folder.
        split: Name of a split. None takes all sequences as training data, for data without a
            protocol.
        subset: ``train``, ``test`` or ``both`` (train first; for evaluation by role).
        layout: Layout that the config expects, or its name; None takes any, unless ``remap`` is set.
        num_frames: T.
        max_persons: M.
        preparation: Transform configs; ``default_preparation(num_frames)`` if None.
        cache: Keep prepared sequences beside the archive.
        min_frames: Leave out shorter recordings, which the log counts.
        remap: Bring recordings to the joints of ``layout``, metres and y up, see
            :class:`~mmactclr.transforms.SkeletonAdapter`; the log says what was done.
        up: With ``remap``, the axis of the recordings that points up, such as ``+z``; estimated if None.
        metres_per_unit: With ``remap``, in place of the archive's unit.
        label_subset: Training sequences to use: a file of :func:`write_label_subset`, or the arguments of
            :func:`draw_label_subset`, such as ``dict(fraction=0.01, seed=0)``. Test sequences are all used.

    Attributes:
        archive (SkeletonArchive): The source.
        index (np.ndarray): Positions in the archive, (N,) int64.
        labels (np.ndarray): (N,) int64.
        with_inputs (bool): Whether batches carry joints; a run on features that were extracted before does without.

    Raises:
        DataError: The archive is missing or damaged, or no sequence is left.
        ConfigError: The split does not exist or the layout is another one.
    """

    def __init__(self, data_root: str | Path, split: str | None = 'xsub', subset: str = 'train',
                 layout: str | Mapping[str, Any] | Layout | None = None, num_frames: int = 50,
                 max_persons: int = 2, preparation: Sequence[Mapping[str, Any]] | None = None,
                 cache: bool = True, min_frames: int = 1, remap: bool = False, up: str | None = None,
                 metres_per_unit: float | None = None,
                 label_subset: str | Path | Mapping[str, Any] | None = None) -> None:
        if max_persons < 1:
            raise ConfigError(f'SkeletonDataset: max_persons is {max_persons}, expected 1 or more')
        self.archive, adapter = open_with_layout(data_root, layout, remap, up, metres_per_unit)
        index, role = choose_sequences(self.archive, split, subset)
        if label_subset:
            chosen = _labelled(self.archive, split, label_subset)
            wanted = (role == QUERY) | np.isin(index, chosen)
            if not wanted[role == BANK].any() and (role == BANK).any():
                raise DataError(f'label subset {label_subset}: none of its sequences trains in split {split!r}')
            elsewhere = len(np.setdiff1d(chosen, index[role == BANK]))
            if elsewhere and (role == BANK).any():
                print_log(f'{data_root}, {split} {subset}: {elsewhere} of {len(chosen)} sequences of the label subset '
                          f'{label_subset} are not in the training part and left out', logger='current',
                          level=logging.WARNING)
            index, role = index[wanted], role[wanted]
        long_enough = self.archive.column('frames')[index] >= min_frames
        self.index, self.role = index[long_enough], role[long_enough]
        too_short = int(len(index) - len(self.index))
        if too_short:
            print_log(f'{data_root}, {split} {subset}: left out {too_short} of {len(index)} '
                      f'sequences with fewer than {min_frames} frames', logger='current')
        if not len(self.index):
            raise DataError(f'{data_root}, {split} {subset}: all sequences are shorter than '
                            f'min_frames={min_frames}')
        self.with_inputs = True
        self.labels = self.archive.labels[self.index].astype(np.int64)
        self._check_labels()
        self._prepared = prepared_sequences(
            self.archive, num_frames, max_persons, preparation, cache, adapter)
        self.metainfo: dict[str, Any] = dict(
            classes=self.archive.classes, layout=adapter.target if adapter else self.archive.layout,
            # plain, as checkpoints keep it and are read without executing anything
            label_subset=dict(label_subset) if isinstance(label_subset, Mapping)
            else label_subset and str(label_subset),
            data_root=str(data_root), names=self.archive.column('name'), split=split, subset=subset,
            checksum=self.archive.checksum,
            excluded=dict(too_short=too_short, at_conversion=sum(
                map(len, self.archive.meta.get('excluded', {}).values()))))

    def _check_labels(self) -> None:
        low, high = (0, len(self.archive.classes) - 1) if self.archive.classes else (-1, -1)
        if self.labels.min() < low or self.labels.max() > high:
            raise DataError(
                f'{self.archive.path}: labels go from {self.labels.min()} to {self.labels.max()}, '
                f'expected {low} to {high}; tools/dataset_converters/verify.py names the sequences')

    def full_init(self) -> None:
        """Does nothing: mmengine's dataset wrappers call it."""

    @property
    def num_positions(self) -> int:
        """Sequences in the archive, of which ``index`` holds some."""
        return len(self.archive)

    def name_of(self, index: int) -> str:
        """Name of the sequence at a position of the archive."""
        return str(self.archive.column('name')[index])

    @property
    def prepared(self) -> np.ndarray:
        """(N, M, T, V, C) float32 of this subset, in its order; a copy, read from disk."""
        return np.asarray(self._prepared.keypoint[self.index])

    @property
    def prepared_mask(self) -> np.ndarray:
        """(N, M) bool, persons present, of this subset, in its order."""
        return self._prepared.mask[self.index]

    @property
    def resident_size(self) -> int:
        """Bytes of :attr:`prepared`."""
        return len(self) * self._prepared.keypoint[0].nbytes

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {key: values[0] for key, values in self.__getitems__([i]).items()}

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """A batch in one step: the samples at these positions, stacked."""
        indices = np.asarray(indices, dtype=np.int64)
        rows = self.index[indices]
        known = dict(index=torch.from_numpy(rows), label=torch.from_numpy(self.labels[indices]),
                     role=torch.from_numpy(self.role[indices]))
        if not self.with_inputs:
            return known
        return dict(inputs=torch.from_numpy(np.asarray(self._prepared.keypoint[rows])),
                    mask=torch.from_numpy(self._prepared.mask[rows]), **known)


def _labelled(archive: SkeletonArchive, split: str | None, label_subset: str | Path | Mapping[str, Any]) -> np.ndarray:
    """Positions of the sequences of a label subset."""
    if not isinstance(label_subset, Mapping):
        return read_label_subset(label_subset, archive)
    unknown = set(label_subset) - {'fraction', 'per_class', 'seed'}
    if unknown or split is None:
        raise ConfigError(f'SkeletonDataset: label_subset={dict(label_subset)} with split={split!r}; expected fraction '
                          'or per_class, and seed, and a split')
    return draw_label_subset(archive, split, **label_subset)


def open_with_layout(data_root: str | Path, layout: str | Mapping[str, Any] | Layout | None, remap: bool,
                     up: str | None, metres_per_unit: float | None) -> tuple[SkeletonArchive, SkeletonAdapter | None]:
    """An archive, and what brings its recordings to ``layout``, None where they are so.

    Raises:
        DataError: The archive is missing or damaged.
        ConfigError: The layout is another one and ``remap`` is not set, or the arguments contradict each other.
    """
    archive = SkeletonArchive.open(data_root)
    if remap:
        return archive, make_adapter(archive, layout, up, metres_per_unit)
    if up is not None or metres_per_unit is not None:
        raise ConfigError(f'SkeletonDataset: up={up!r} and metres_per_unit={metres_per_unit!r} are for remap=True')
    _check_layout(archive, layout)
    return archive, None


def _expected_layout(archive: SkeletonArchive, layout: str | Mapping | Layout | None) -> Layout:
    # a name that is registered stands for those joints, whatever an archive calls its own
    if layout is None or layout == archive.layout.name and layout not in list_layouts():
        return archive.layout
    return get_layout(layout)


def _check_layout(archive: SkeletonArchive, layout: str | Mapping | Layout | None) -> None:
    found, expected = archive.layout, _expected_layout(archive, layout)
    if (expected.joints, expected.bones) != (found.joints, found.bones):
        raise ConfigError(
            f'the config expects layout {expected.name!r} ({expected.num_joints} joints), '
            f'{archive.path} has {found.name!r} ({found.num_joints} joints): change layout or '
            'data_root, or set remap=True to convert the joints by name')


def make_adapter(archive: SkeletonArchive, layout: str | Mapping | Layout | None, up: str | None,
                  metres_per_unit: float | None) -> SkeletonAdapter | None:
    """The conversion to ``layout``, None where the archive is as the model wants it."""
    if layout is None:
        raise ConfigError('SkeletonDataset: remap=True needs the layout to convert to; set layout')
    adapter = fit_adapter(_Sequences(archive), archive.layout, _expected_layout(archive, layout),
                          archive.meta.get('unit', ''), up, metres_per_unit)
    for doubt in adapter.doubts:
        print_log(f'{archive.path}: {doubt}', logger='current', level=logging.WARNING)
    if adapter.changes_nothing:
        return None
    print_log(f'{archive.path}: {adapter.summary()}', logger='current')
    return adapter


class _Sequences(Sequence):
    """The recordings of an archive, read when asked for."""

    def __init__(self, archive: SkeletonArchive) -> None:
        self.archive = archive

    def __len__(self) -> int:
        return len(self.archive)

    def __getitem__(self, i: Any) -> Any:
        return self.archive.sequence(i)


def choose_sequences(archive: SkeletonArchive, split: str | None, subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the archive and roles of the sequences of a part of a split.

    Raises:
        ConfigError: There is no such split or part.
    """
    if subset not in (*PARTS, 'both'):
        raise ConfigError(f"subset is {subset!r}, expected 'train', 'test' or 'both'")
    if split is None:
        if subset != 'train':
            raise ConfigError(f'subset {subset!r} needs a split; {archive.path} has '
                              f'{archive.split_names or "none"}')
        return np.arange(len(archive)), np.full(len(archive), BANK)
    parts = PARTS if subset == 'both' else (subset,)
    positions = [archive.split(split, part) for part in parts]
    roles = [np.full(len(chosen), QUERY if part == 'test' else BANK)
             for part, chosen in zip(parts, positions, strict=True)]
    return np.concatenate(positions), np.concatenate(roles)


@FUNCTIONS.register_module()
def skeleton_collate(batch: dict[str, Tensor] | Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Makes one batch: a dict passes through, a list of samples is stacked.

    A loader gets a dict from ``SkeletonDataset.__getitems__`` and a list from a dataset that wraps
    it, such as ``ConcatDataset``.

    Raises:
        DataError: The samples differ in shape, as those of two layouts do.
    """
    if isinstance(batch, Mapping):
        return batch
    try:
        return {key: torch.stack([sample[key] for sample in batch]) for key in batch[0]}
    except RuntimeError as error:
        raise DataError(f'samples of one batch differ in shape ({error}): datasets that are joined '
                        'need the same layout, num_frames and max_persons') from error
