"""What all pretraining methods share: the training step, precision, progress and feature extraction."""
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmactclr.models.data_preprocessor import Mix
from mmactclr.models.persons import PersonRows, distinct_rows, fold_persons
from mmactclr.registry import MODELS
from mmactclr.structures import SkeletonDataSample
from mmactclr.utils import derive_seed, seeded_rng

Views = Mapping[str, Tensor]
Mixes = Mapping[str, Mix]
NO_MIXES: Mixes = {}
# feature point of raw class scores, where a model has a classifier
SCORE = 'score'
# that of the scores of every frame
FRAME_SCORE = 'frame_score'


@functools.cache
def takes_copies(forward: Callable[..., Tensor]) -> bool:
    """Whether an encoder knows how many equal rows its last one stands for, see :meth:`STGCN.forward`."""
    return 'copies' in inspect.signature(forward).parameters


class BaseAlgorithm(BaseModel):
    """A self-supervised method with one or several branches (streams).

    A subclass says which views it needs (:meth:`view_names`), yields its losses one by one
    (:meth:`loss_terms`) and extracts features (:meth:`extract`). State that follows the optimiser,
    memory and momentum encoders, is driven by hooks.

    Args:
        data_preprocessor: Config of the data preprocessor.
        init_cfg: As in :class:`mmengine.model.BaseModule`.

    Attributes:
        epoch: Epoch that training stands in, from zero; a hook sets it.
        log_scalars: Numbers of the last step that are worth a log line but are no losses.
        step_dropped: Whether the step that was just taken is left out, so that no state follows it.
        skip_absent: Whether absent persons are left out of the encoder; their zeros are averaged in otherwise.
    """

    skip_absent = False

    def __init__(self, data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        # built here, so that our own preprocessors are found from any default scope
        preprocessor = MODELS.build(dict(data_preprocessor)) if data_preprocessor else None
        super().__init__(preprocessor, init_cfg)
        self.seed = self.epoch = self.iteration = self.rank = 0
        self.autocast_dtype: torch.dtype | None = None
        self.log_scalars: dict[str, Tensor] = {}
        self.step_dropped = False

    def _dump_init_info(self, *args: Any) -> None:
        """Leave out mmengine's report of how each of some hundred parameters was initialised."""

    # what a method defines

    def branches(self) -> dict[str, 'BaseAlgorithm']:
        """The single-stream methods inside, by stream; a single-stream method is its own branch."""
        return {self.stream: self}

    def view_names(self) -> tuple[str, ...]:
        """Views that this epoch's losses need."""
        raise NotImplementedError

    @property
    def stage_epoch(self) -> int:
        """Epochs since the stage that training stands in began."""
        return self.epoch

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, loss)``, each with a graph of its own.

        Args:
            inputs: ``{stream: {view: (N, M, T, V, C)}}``.
            masks: (N, M) persons present, by view.
            mixes: What mixed views took from whom, by view.
        """
        raise NotImplementedError

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """The loss terms of a step; a method that learns from labels overrides this one.

        Args:
            batch: ``inputs``, ``masks`` and ``mixes`` of :meth:`loss_terms`, with ``index`` and ``label`` (N,).
        """
        yield from self.loss_terms(batch['inputs'], batch['masks'], batch['mixes'])

    def extract(self, keypoint: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Features of prepared joints (N, M, T, V, C) by feature point, each (N, D)."""
        raise NotImplementedError

    def encode(self, backbone: nn.Module, x: Tensor, mask: Tensor) -> tuple[Tensor, PersonRows]:
        """Feature map (P, C, T', V) in fp32 of (N, M, T, V, C), and the rows it belongs to."""
        feature_map, rows, where = self.encode_distinct(backbone, x, mask)
        return (feature_map if where is None else feature_map.index_select(0, where)), rows

    def encode_distinct(self, backbone: nn.Module, x: Tensor, mask: Tensor
                        ) -> tuple[Tensor, PersonRows, Tensor | None]:
        """:meth:`encode` before the features of the absent, which are all the same, are copied.

        Returns:
            Feature map (D, C, T', V), the P rows, and which of D each of them has, (P,); None where D is P.
        """
        inputs, rows = fold_persons(x, mask, self.skip_absent)
        # those who are absent all have the same features; in training their dropout is one, their statistics are kept
        counted = backbone.training and takes_copies(type(backbone).forward)
        distinct = distinct_rows(rows) if counted or not backbone.training else None
        with torch.autocast(x.device.type, dtype=self.autocast_dtype,
                            enabled=self.autocast_dtype is not None):
            if distinct is None:
                feature_map = backbone(inputs)
            elif counted:
                feature_map = backbone(inputs[distinct.first], distinct.copies)
            else:
                feature_map = backbone(inputs[distinct.first])
        return feature_map.float(), rows, distinct.where if distinct else None

    # progress

    def set_progress(self, seed: int, epoch: int, iteration: int, rank: int) -> None:
        """Tell the method and its preprocessor where training stands (called by a hook)."""
        for module in {self, *self.branches().values()}:
            module.seed, module.epoch, module.iteration, module.rank = seed, epoch, iteration, rank
            module.step_dropped = False
            if hasattr(module.data_preprocessor, 'set_progress'):
                module.data_preprocessor.set_progress(seed, epoch, iteration, rank)

    def drop_step(self) -> None:
        """Forget what the step that was just taken left for the hooks (called by a hook that leaves the step out)."""
        self.step_dropped = True

    def branch_rng(self, part: str = '') -> AbstractContextManager[None]:
        """Randomness of a part of this branch's step (dropout), a function of (seed, stream, iteration, rank, part)."""
        return seeded_rng(derive_seed('step', self.seed, self.stream, self.iteration, self.rank, part))

    # the training step

    def train_step(self, data: Mapping[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """One optimisation step: the backward pass of each loss term runs as soon as it is computed."""
        with optim_wrapper.optim_context(self):
            self._adopt_precision()
        views = self.training_views(data)
        losses: dict[str, Tensor] = {}
        for name, loss in self.losses(views):
            if losses and hasattr(optim_wrapper, '_inner_count'):
                # the wrapper counts backward passes to know when gradients are complete: one step, one count
                optim_wrapper._inner_count -= 1
            losses[name] = loss.detach()
            optim_wrapper.backward(optim_wrapper.scale_loss(loss))
        if optim_wrapper.should_update():
            optim_wrapper.step()
            optim_wrapper.zero_grad()
        return self.step_outputs(losses)

    def training_views(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Augment a batch of the loader: ``inputs`` ``{stream: {view: tensor}}``, ``masks`` and ``mixes`` by view."""
        return self.data_preprocessor(data, True, views=self.view_names(), stage_epoch=self.stage_epoch)

    def step_outputs(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a training step returns: the total, every term, and the scalars of the branches."""
        # features are extracted as the caller's autocast says, not as the step did
        self._adopt_precision()
        return {'loss': cast(Tensor, sum(losses.values())), **losses, **self._step_scalars()}

    def forward(self, inputs: Any, mask: Tensor | None = None, masks: Views | None = None,
                mixes: Mixes = NO_MIXES, mode: str = 'tensor', **meta: Tensor) -> Any:
        """Run the method.

        Args:
            inputs: ``{stream: {view: tensor}}`` for losses, prepared joints (N, M, T, V, C) otherwise.
            mask: (N, M) persons present; all of them when left out.
            masks: Masks by view, for losses.
            mixes: What mixed views took from whom, for losses.
            mode: ``loss`` gives a dict of losses, ``tensor`` the features by feature point, ``predict`` one
                :class:`SkeletonDataSample` a sequence, with ``pred_score`` and ``pred_label`` where the model has a
                classifier.
            meta: ``index``, ``label`` and ``role`` of the batch, carried into the samples and the losses.
        """
        self._adopt_precision()
        with torch.autocast(self.data_preprocessor.device.type, enabled=False):
            if mode == 'loss':
                return dict(self.losses(dict(inputs=inputs, masks=masks, mixes=mixes, **meta)))
            if mask is None:
                mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
            features = self.extract(inputs, mask)
        if mode == 'tensor':
            return features
        features = {point: value.float().cpu() for point, value in features.items()}
        columns = {name: value.tolist() for name, value in meta.items() if torch.is_tensor(value)}
        samples = [SkeletonDataSample(
            # copies: processes that exchange results would send the whole batch along with each view of it
            features={point: value[i].clone() for point, value in features.items()},
            **{name: column[i] for name, column in columns.items()}) for i in range(len(inputs))]
        if SCORE in features:
            for sample in samples:
                sample.set_pred_score(sample.features[SCORE])
        return samples

    def _adopt_precision(self) -> None:
        """Take over the surrounding autocast for the encoders; everything else stays in fp32."""
        device = self.data_preprocessor.device.type
        enabled = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if enabled else None
        for module in {self, *self.branches().values()}:
            module.autocast_dtype = dtype

    def _step_scalars(self) -> dict[str, Tensor]:
        branches = self.branches()
        if len(branches) == 1:
            return next(iter(branches.values())).log_scalars
        return {**self.log_scalars, **{f'{stream}.{name}': value for stream, branch in branches.items()
                                       for name, value in branch.log_scalars.items()}}
