"""Windows of long sequences with a label for every frame."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import DATASETS
from mmactclr.structures.layouts import Layout
from mmactclr.transforms.preparation import default_preparation, prepare

from .label_subset import positions_by_name
from .segments import frame_labels
from .skeleton_dataset import choose_sequences, open_with_layout

BACKGROUND = 'background'
#: Label of frames that lie beyond the end of a sequence; losses and metrics leave them out.
PADDING = -100


@DATASETS.register_module()
class SegmentationDataset(Dataset):
    """Sliding windows over the sequences of an archive that has a column ``segments``.

    A window is ``num_frames`` frames at the rate of the recording, from every ``hop``-th frame on; the last one of a
    sequence ends with it, and a sequence that is shorter is continued by its last frame. Windows are prepared as
    recordings are, without the resizing. Frames in no segment are ``background``, the last class.

    Samples are dicts of tensors: ``inputs`` (M, T, V, C), ``mask`` (M,), ``label`` (T,) int64, -100 beyond the end,
    ``index`` the number of the window, ``sequence`` its position in the archive, ``start`` its first frame, ``role``
    as in :class:`SkeletonDataset`.

    Args:
        data_root: Archive folder.
        split: Name of a split; None takes all sequences as training data.
        subset: ``train``, ``test`` or ``both``.
        layout: As in :class:`SkeletonDataset`.
        num_frames: T.
        hop: Frames from one window to the next; half of ``num_frames`` if None.
        max_persons: M.
        preparation: Transform configs; those that resize are left out.
        remap: As in :class:`SkeletonDataset`.
        up: As in :class:`SkeletonDataset`.
        metres_per_unit: As in :class:`SkeletonDataset`.

    Raises:
        DataError: The archive has no ``segments``, or they do not fit its classes.
        ConfigError: The split does not exist, the layout is another one, or hop is not from 1 to T.
    """

    def __init__(self, data_root: str | Path, split: str | None = 'xsub', subset: str = 'train',
                 layout: str | Mapping[str, Any] | Layout | None = None, num_frames: int = 50, hop: int | None = None,
                 max_persons: int = 2, preparation: Sequence[Mapping[str, Any]] | None = None, remap: bool = False,
                 up: str | None = None, metres_per_unit: float | None = None) -> None:
        self.num_frames, self.max_persons = num_frames, max_persons
        self.hop = max(num_frames // 2, 1) if hop is None else hop
        if not 1 <= self.hop <= num_frames:
            raise ConfigError(f'SegmentationDataset: hop is {hop}, expected 1 to num_frames={num_frames}')
        self.archive, self._adapter = open_with_layout(data_root, layout, remap, up, metres_per_unit)
        classes = self.archive.meta.get('extra', {}).get('segment_classes') or ()
        if 'segments' not in self.archive.columns or not classes:
            raise DataError(f'{data_root} has no labels of frames (column segments, extra.segment_classes): convert '
                            'the data as long sequences, or join clips with convert.py joined')
        # timelines are told apart by name
        positions_by_name(self.archive)
        steps = default_preparation(num_frames) if preparation is None else preparation
        self._steps = [step for step in steps if step['type'] != 'ResizeFrames']
        positions, roles = choose_sequences(self.archive, split, subset)
        self._labels = {int(i): self._frame_labels(int(i), len(classes)) for i in positions}
        windows = [(int(i), start, int(role)) for i, role in zip(positions, roles, strict=True)
                   for start in window_starts(self.archive.frames(int(i)), num_frames, self.hop)]
        self.sequence, self.start, self.role = np.array(windows, dtype=np.int64).T
        self.index = np.arange(len(windows))
        self.with_inputs = True
        target = self._adapter.target if self._adapter else self.archive.layout
        self.metainfo: dict[str, Any] = dict(
            classes=(*classes, BACKGROUND), layout=target, data_root=str(data_root), names=self.archive.column('name'),
            frames=self.archive.column('frames'), split=split, subset=subset, checksum=self.archive.checksum,
            window=dict(frames=num_frames, hop=self.hop))

    def _frame_labels(self, i: int, num_classes: int) -> np.ndarray:
        name = str(self.archive.column('name')[i])
        try:
            labels = frame_labels(str(self.archive.column('segments')[i]), self.archive.frames(i))
        except DataError as error:
            raise DataError(f'{self.archive.path}: sequence {name!r}: {error}') from error
        if labels.max() >= num_classes:
            raise DataError(f'{self.archive.path}: sequence {name!r} has a segment of class {labels.max()}, expected 0 '
                            f'to {num_classes - 1}')
        labels[labels < 0] = num_classes
        return labels

    def full_init(self) -> None:
        """Does nothing: mmengine's dataset wrappers call it."""

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {key: values[0] for key, values in self.__getitems__([i]).items()}

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """A batch in one step: the windows at these positions, stacked."""
        indices = np.asarray(indices, dtype=np.int64)
        windows, labels = [], np.full((len(indices), self.num_frames), PADDING, dtype=np.int64)
        for row, i in enumerate(indices):
            sequence, start = int(self.sequence[i]), int(self.start[i])
            frames = np.arange(start, start + self.num_frames)
            inside = frames < self.archive.frames(sequence)
            labels[row, inside] = self._labels[sequence][frames[inside]]
            if self.with_inputs:
                window = self.archive.sequence(sequence)[:self.max_persons, frames.clip(max=frames[inside][-1])]
                windows.append(self._adapter(window) if self._adapter else window)
        columns = dict(index=self.index, sequence=self.sequence, start=self.start, role=self.role)
        known = {name: torch.from_numpy(column[indices]) for name, column in columns.items()}
        known['label'] = torch.from_numpy(labels)
        if not self.with_inputs:
            return known
        keypoint, mask = prepare(windows, self.metainfo['layout'], self.num_frames, self.max_persons, self._steps)
        return dict(inputs=keypoint, mask=mask, **known)


def window_starts(frames: int, window: int, hop: int) -> list[int]:
    """First frames of windows that cover all frames; the last window ends with the sequence."""
    last = max(frames - window, 0)
    return [*range(0, last, hop), last]
