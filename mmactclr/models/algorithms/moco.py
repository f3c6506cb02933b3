"""Momentum contrast on skeletons: stage one of ActCLR, and SkeletonCLR."""
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models.backbones import check_feature_map
from mmactclr.models.memory_bank import MemoryBank
from mmactclr.registry import MODELS
from mmactclr.structures import Layout

from .base import NO_MIXES, Mixes, Views
from .single_stream import SingleStream


@MODELS.register_module()
class MoCo(SingleStream):
    """Two weak views, a momentum encoder, a memory and InfoNCE (section 2 of the method).

    The memory is filled by ``MemoryBankHook`` and the key encoder follows through
    ``MomentumUpdateHook``, seed and epoch come from ``TrainingProgressHook``; a config without one of them is
    refused at the second step.

    Args:
        layout: Joint layout of the data.
        backbone: Config of the encoder.
        projector: Config of the projector; its ``in_channels`` are those of the encoder unless given.
        memory: ``size`` and ``dim`` of the :class:`MemoryBank`, and ``by_archive`` to compare sequences of several
            archives with keys of their own archive alone.
        loss: Config of the contrastive loss.
        stream: ``joint``, ``motion`` or ``bone``.
        skip_absent: Leave absent persons out of the encoder instead of averaging their zeros in.
        data_preprocessor: Config of the preprocessor; None where another module prepares the views.

    Raises:
        ConfigError: If features of the encoder do not fit the projector or its keys the memory, or the encoder does
            not give the feature map that the method needs, or the method cannot divide its memory.

    Attributes:
        keeps_joints: Whether the method tells joints apart on the feature map, so that the encoder has to keep them.
        divides_memory: Whether its losses take the memory archive by archive where it says so.
        whole_cells: Whether it counts frames in cells of the map, of which there have to be ceil(T / temporal_stride).
        pending_keys: (N, D) keys of the last step that wait for the memory.
        momentum_due: Whether a step was taken that the key encoder has not followed yet.
        last_iteration: Iteration of the last step, None before the first.
        archives: (N,) archive of each sequence of the last step, where the memory keeps them apart.
    """

    projector: nn.Module
    keeps_joints = whole_cells = False
    divides_memory = True

    def __init__(self, layout: str | Mapping[str, Any] | Layout, backbone: Mapping[str, Any],
                 projector: Mapping[str, Any], memory: Mapping[str, Any],
                 loss: Mapping[str, Any], stream: str = 'joint',
                 skip_absent: bool = False, data_preprocessor: Mapping[str, Any] | None = None,
                 init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(layout, backbone, stream, skip_absent, data_preprocessor, init_cfg)
        check_feature_map(self.backbone, self.layout, type(self).__name__, self.keeps_joints,
                          self.whole_cells)
        self.projector = self.on_features('projector', projector)
        self.backbone_k = deepcopy(self.backbone).requires_grad_(False)
        self.projector_k = deepcopy(self.projector).requires_grad_(False)
        self.memory = MemoryBank(**memory)
        if self.memory.by_archive and not self.divides_memory:
            raise ConfigError(f'{type(self).__name__}: memory.by_archive is True, which MoCo and ActCLR know; leave it '
                              'out')
        width = getattr(self.projector, 'out_channels', self.memory.dim)
        if width != self.memory.dim:
            raise ConfigError(f'{type(self).__name__}: memory.dim is {self.memory.dim}, the projector gives keys of '
                              f'{width} (projector.out_channels); set both to the same number')
        self.contrastive_loss = MODELS.build(dict(loss))
        self.pending_keys: Tensor | None = None
        self.archives: Tensor | None = None
        self.momentum_due = False
        self.last_iteration: int | None = None

    def init_weights(self) -> None:
        """Initialise from (seed, stream); the key encoder starts equal."""
        super().init_weights()
        self.copy_to_key()

    def copy_to_key(self) -> None:
        """Make the key encoder and projector equal to the online ones."""
        self.backbone_k.load_state_dict(self.backbone.state_dict())
        self.projector_k.load_state_dict(self.projector.state_dict())

    @torch.no_grad()
    def momentum_update(self, momentum: float) -> None:
        """f_k <- a f_k + (1 - a) f_q for parameters; buffers follow the key's own forward passes."""
        for online, key in ((self.backbone, self.backbone_k), (self.projector, self.projector_k)):
            torch._foreach_lerp_(list(key.parameters()), list(online.parameters()), 1.0 - momentum)
        self.momentum_due = False

    def view_names(self) -> tuple[str, ...]:
        """Two weak views."""
        return ('query', 'key')

    def losses(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
        """The loss terms of a step, which know the archive of every sequence where the memory keeps them apart."""
        self.archives = batch.get('archive') if self.memory.by_archive else None
        if self.memory.by_archive and self.archives is None:
            raise ConfigError(f'{type(self).__name__}: memory.by_archive is True, but the training set is one archive; '
                              'leave it out, or train on several with ShardedSkeletonDataset')
        yield from super().losses(batch)

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """Eq. 10 on ``inputs[stream]['query']`` and ``['key']``, each (N, M, T, V, C)."""
        self.check_hooks()
        with self.branch_rng():
            term = self.contrast(inputs[self.stream], masks)
        yield 'loss_nce', term

    def contrast(self, views: Views, masks: Views) -> Tensor:
        """Stage one: InfoNCE between two weak views."""
        z_q, z_k = self.project_query(views, masks), self.project_key(views, masks)
        loss, bound = z_q.new_zeros(()), z_q.new_zeros(())
        for rows, share, memory in self.memory_parts(z_k):
            part = self.contrastive_loss(z_q[rows], z_k[rows], memory)
            loss, bound = loss + share * part, bound + share * (log_size(memory) - part.detach())
        self.log_scalars = {'mi_bound': bound}
        self.hold(z_k)
        return loss

    def memory_parts(self, z_k: Tensor) -> list[tuple[Tensor | slice, float, Tensor]]:
        """Rows of a batch of keys (N, D), their share of it, and the keys of the memory they are compared with.

        All at once, or archive by archive where the memory keeps them apart.
        """
        if self.archives is None:
            return [(slice(None), 1., self.memory.valid())]
        rows = [torch.nonzero(self.archives == one)[:, 0] for one in self.archives.unique()]
        return [(some, len(some) / len(z_k), self.memory.valid(int(self.archives[some[0]]))) for some in rows]

    def project_query(self, views: Views, masks: Views) -> Tensor:
        """Projection (N, D) of ``query`` (N, M, T, V, C) by the online encoder, of any length."""
        return self.projector(self.pool(self.backbone, views['query'], masks['query']))

    @torch.no_grad()
    def project_key(self, views: Views, masks: Views) -> Tensor:
        """Projection (N, D) of ``key`` (N, M, T, V, C) by the key encoder, of any length."""
        return self.projector_k(self.pool(self.backbone_k, views['key'], masks['key']))

    def hold(self, z_k: Tensor) -> None:
        """Keep the keys of this step until the hooks have stored them and moved the key encoder."""
        self.pending_keys = F.normalize(z_k.detach(), dim=1)
        self.momentum_due = True
        self.last_iteration = self.iteration

    def drop_step(self) -> None:
        """Keep no key of this step, and leave the key encoder where it is."""
        super().drop_step()
        self.pending_keys, self.momentum_due = None, False

    def check_hooks(self) -> None:
        """Refuse to go on if the state of the last step was never taken up."""
        if self.pending_keys is not None:
            raise ConfigError('MemoryBankHook is missing from custom_hooks: the keys of the last step were never '
                              "stored; add dict(type='MemoryBankHook') to custom_hooks")
        if self.momentum_due:
            raise ConfigError('MomentumUpdateHook is missing from custom_hooks: the key encoder did not follow the '
                              "last step; add dict(type='MomentumUpdateHook', momentum=0.999) to custom_hooks")
        if self.iteration == self.last_iteration:
            raise ConfigError(
                f'TrainingProgressHook is missing from default_hooks: two steps in a row are iteration {self.iteration}'
                ', so augmentation repeats itself and stage two never comes; add '
                "training_progress=dict(type='TrainingProgressHook') to default_hooks")


def log_size(memory: Tensor) -> Tensor:
    """log |M|, the ceiling of the mutual information a memory of that size can show (Eq. 9)."""
    return torch.tensor(float(max(1, len(memory)))).log().to(memory.device)
