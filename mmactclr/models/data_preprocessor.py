"""Turns prepared joints into the augmented views that a contrastive method asks for."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmactclr.datasets import ShardedSkeletonDataset, SkeletonDataset
from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS
from mmactclr.structures import Layout, get_layout
from mmactclr.transforms import SampleRandom, build_transforms, random_partner, run_transforms, to_stream
from mmactclr.utils import derive_seed


@dataclass(frozen=True)
class Mix:
    """What a view took from whom.

    Attributes:
        own: (N, M, T, V) share of the sequence's own content; 0 where the partner was pasted in.
        partner: (N,) position in the batch of the sequence that the rest comes from.
    """

    own: Tensor
    partner: Tensor


@dataclass(frozen=True)
class ResidentJoints:
    """A prepared data set on a device.

    Attributes:
        inputs: (S, M, T, V, C) prepared joints.
        mask: (S, M) persons present.
        row_of: Where the sequence at a position of the archive or archives lies, int64; -1 if it does not.
    """

    inputs: Tensor
    mask: Tensor
    row_of: Tensor

    @classmethod
    def of(cls, dataset: SkeletonDataset | ShardedSkeletonDataset, device: torch.device) -> 'ResidentJoints':
        """Bring what a dataset prepared to a device."""
        row_of = torch.full((dataset.num_positions,), -1, dtype=torch.long)
        row_of[torch.from_numpy(dataset.index)] = torch.arange(len(dataset))
        return cls(torch.from_numpy(dataset.prepared).to(device), torch.from_numpy(dataset.prepared_mask).to(device),
                   row_of.to(device))

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """``inputs`` and ``mask`` of the sequences at positions (N,) of the archive, on the device."""
        rows = self.row_of[index]
        return dict(inputs=self.inputs[rows], mask=self.mask[rows])


@MODELS.register_module()
class ContrastivePreprocessor(BaseDataPreprocessor):
    """Batched augmentation on the device of the model, always in fp32.

    A view is described by ``joints``, transforms of joint coordinates that all streams share, and
    ``stream``, transforms that run after the view became joint, motion or bone. ``base`` names
    another view whose augmented joints it starts from instead of the prepared ones, so that two views
    of one sequence can share their geometry. What a view looks like depends on the seed, the epoch,
    the sequence and the name of the view alone.

    Args:
        layout: Joint layout of the data.
        views: ``{name: dict(joints=[...], stream=[...], base=None)}``, transform configs.
        streams: Streams to produce in training: ``joint``, ``motion``, ``bone``.

    Attributes:
        resident: The training set where it is kept on the device; batches then come without joints.

    Example:
        >>> weak = [dict(type='RandomTemporalCrop'), dict(type='RandomShear')]
        >>> views = dict(query=dict(joints=weak), key=dict(joints=weak))
        >>> preprocessor = ContrastivePreprocessor('ntu25', views)
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout,
                 views: Mapping[str, Mapping[str, Any]],
                 streams: Sequence[str] = ('joint',)) -> None:
        super().__init__()
        self.layout = get_layout(layout)
        self.streams = tuple(streams)
        self._bases: dict[str, str | None] = {}
        self._joint_pipelines: dict[str, list] = {}
        self._stream_pipelines: dict[str, list] = {}
        for name, view in views.items():
            unknown = set(view) - {'joints', 'stream', 'base'}
            base = view.get('base')
            if unknown:
                raise ConfigError(f"ContrastivePreprocessor: view {name!r} has unknown keys {sorted(unknown)}, "
                                  "expected 'joints', 'stream' and 'base'")
            self._bases[name] = base
            self._joint_pipelines[name] = build_transforms(view.get('joints', ()))
            self._stream_pipelines[name] = build_transforms(view.get('stream', ()))
        for name in self._bases:
            self._check_base(name)
        self.seed = self.epoch = self.iteration = self.rank = 0
        self.resident: ResidentJoints | None = None

    def _check_base(self, name: str) -> None:
        """Refuse a view whose chain of bases leads nowhere or back; a dumped config has its views in another order."""
        chain = [name]
        while (base := self._bases[chain[-1]]) is not None:
            if base not in self._bases or base in chain:
                what = 'starts from itself' if base in chain else 'is not a view'
                raise ConfigError(f'ContrastivePreprocessor: view {chain[-1]!r} starts from {base!r}, which {what}; '
                                  f'there are {sorted(self._bases)}')
            chain.append(base)

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the views that are defined."""
        return tuple(self._bases)

    def augments(self, view: str) -> bool:
        """Whether a view is anything but the prepared joints."""
        if self._joint_pipelines[view] or self._stream_pipelines[view]:
            return True
        base = self._bases[view]
        return base is not None and self.augments(base)

    def set_progress(self, seed: int, epoch: int, iteration: int, rank: int) -> None:
        """Tell where training stands; augmentation is a function of these numbers."""
        self.seed, self.epoch, self.iteration, self.rank = seed, epoch, iteration, rank

    def forward(self, data: Mapping[str, Any], training: bool = False, views: Sequence[str] = (),
                stage_epoch: int | None = None) -> dict[str, Any]:
        """Move a batch to the device and, in training, augment it.

        Args:
            data: Batch of a :class:`SkeletonDataset`: ``inputs`` (N, M, T, V, C), ``mask`` (N, M),
                ``index`` (N,), ``label`` (N,), ``role`` (N,).
            training: Whether views are wanted.
            views: Names of the wanted views, in training.
            stage_epoch: Epoch since the start of the stage, for a :class:`Curriculum`; that of the run if None.

        Returns:
            The batch on the device. In training ``inputs`` is ``{stream: {view: (N, M, T, V, C)}}``,
            ``masks`` is ``{view: (N, M)}`` and ``mixes`` has a :class:`Mix` for every view with a
            :class:`SkeletonMix` in it.

        Raises:
            ConfigError: If the joints of the data do not match the layout, or a view is not defined.
        """
        batch = self.cast_data(dict(data))
        if 'inputs' not in batch and self.resident is not None:
            batch.update(self.resident.take(batch['index']))
        if 'inputs' not in batch:
            # features that were extracted before stand for the joints
            return dict(batch, inputs={}, masks={}, mixes={})
        joints = batch['inputs']
        if joints.ndim != 5 or joints.shape[3] != self.layout.num_joints:
            raise ConfigError(
                f'the data has shape {tuple(joints.shape)} (N, M, T, V, C), the config is for layout '
                f'{self.layout.name!r} with {self.layout.num_joints} joints; set `layout` in the config to the '
                'layout of the archive')
        if not training:
            return batch
        device = joints.device.type
        with torch.autocast(device, enabled=False), torch.no_grad():
            # the index as it came: reading it back from a GPU would wait for the step before
            batch.update(self._augment(joints.float(), batch['mask'], data['index'], views,
                                       self.epoch if stage_epoch is None else stage_epoch))
        return batch

    def _augment(self, joints: Tensor, mask: Tensor, index: Tensor, names: Sequence[str],
                 stage_epoch: int) -> dict[str, Any]:
        missing = [name for name in names if name not in self._bases]
        if missing:
            raise ConfigError(f'the method asks for the views {missing}, the data preprocessor defines '
                              f'{sorted(self._bases)}; add them to data_preprocessor.views')
        generator = torch.Generator().manual_seed(
            derive_seed('partner', self.seed, self.iteration, self.rank))
        partner = random_partner(len(joints), generator).to(joints.device)
        common = dict(mask=mask, layout=self.layout, stream='joint', partner=partner, stage_epoch=stage_epoch)
        index_list = index.tolist()
        augmented: dict[str, dict[str, Any]] = {}

        def joints_of(name: str) -> dict[str, Any]:
            if name not in augmented:
                base = self._bases[name]
                start = joints if base is None else joints_of(base)['keypoint']
                augmented[name] = run_transforms(self._joint_pipelines[name], dict(
                    common, keypoint=start, random=self._random(index_list, name)))
            return augmented[name]

        inputs: dict[str, dict[str, Tensor]] = {stream: {} for stream in self.streams}
        masks: dict[str, Tensor] = {}
        mixes: dict[str, Mix] = {}
        for name in names:
            shared = joints_of(name)
            for stream in self.streams:
                results = run_transforms(self._stream_pipelines[name], dict(
                    shared, keypoint=to_stream(shared['keypoint'], stream, self.layout), stream=stream,
                    random=self._random(index_list, f'{name}/stream')))
                inputs[stream][name] = results['keypoint']
                masks[name] = results['mask']
                if 'mix_mask' in results:
                    # drawn alike in every stream; a person whom the partner lacks was left as it is
                    there = results['mask'][partner][:, :, None, None]
                    mixes[name] = Mix(torch.where(there, results['mix_mask'][:, None], 1.0), partner)
        return dict(inputs=inputs, masks=masks, mixes=mixes)

    def _random(self, index: list[int], view: str) -> SampleRandom:
        return SampleRandom(self.seed, self.epoch, index, view)

