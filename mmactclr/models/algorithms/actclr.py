"""ActCLR (Lin, Zhang, Liu, CVPR 2023): contrast that treats the moving part of the body as what matters."""
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.models.heads import semantic_aware_pooling
from mmactclr.registry import MODELS
from mmactclr.transforms import to_stream
from mmactclr.utils import eval_mode

from .base import Views
from .moco import MoCo, log_size


@MODELS.register_module()
class ActCLR(MoCo):
    """Stage one is :class:`MoCo`; stage two transforms the actionlet gently and everything else hard.

    The stage is a function of the epoch alone. All buffers of both stages exist from the start, so
    a checkpoint fits either.

    Args:
        actionlet_head: Config of the :class:`ActionletHead`.
        mining_loss: Config of the :class:`SimilarityMiningLoss` of stage two.
        stage_epochs: Epochs of stage one and of stage two, together those of the run; ``(0, n)`` is stage two alone,
            ``(n, 0)`` stage one.
        max_persons: Persons M of the static anchor, as the dataset prepares them.
        num_frames: Frames T of the static anchor, as the dataset prepares them.
        kwargs: Arguments of :class:`MoCo`.

    Raises:
        ConfigError: If ``stage_epochs`` is no pair of numbers from 0 up.

    Attributes:
        anchor: (M, T, V, C) mean motion of the training set, filled by ``StaticAnchorHook``.
    """

    def __init__(self, actionlet_head: Mapping[str, Any], mining_loss: Mapping[str, Any],
                 stage_epochs: tuple[int, int] = (100, 300), max_persons: int = 2,
                 num_frames: int = 50, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.actionlet_head = MODELS.build({'layout': self.layout, **actionlet_head})
        self.mining_loss = MODELS.build(dict(mining_loss))
        self.stage_epochs = tuple(stage_epochs)
        if len(self.stage_epochs) != 2 or min(self.stage_epochs) < 0:
            raise ConfigError(f'ActCLR: stage_epochs is {self.stage_epochs}, expected two numbers from 0 up: the '
                              'epochs of stage one and of stage two')
        channels = getattr(self.backbone, 'in_channels', 3)
        self.register_buffer(
            'anchor', torch.zeros(max_persons, num_frames, self.layout.num_joints, channels))
        self.register_buffer('anchor_ready', torch.zeros((), dtype=torch.bool))

    @property
    def stage(self) -> int:
        """1 while the epoch lies in stage one, 2 afterwards."""
        return 1 if self.epoch < self.stage_epochs[0] else 2

    def view_names(self) -> tuple[str, ...]:
        """Two weak views in stage one; T_act, T_non and a weak key in stage two."""
        return super().view_names() if self.stage == 1 else ('act', 'non', 'key')

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views) -> Iterator[tuple[str, Tensor]]:
        """Eq. 10 in stage one, Eq. 11 in stage two."""
        if self.stage == 1:
            yield from super().loss_terms(inputs, masks)
            return
        self.check_hooks()
        with self.branch_rng():
            term = self.mine(inputs[self.stream], masks)
        yield 'loss_mining', term

    def mine(self, views: Views, masks: Views) -> Tensor:
        """Stage two (section 3): motion-adaptive transformation, SAFP of the key, similarity mining."""
        z_anchor = self.anchor_projection()
        mixed, mixed_mask, region_scalars = self.motion_adaptive_view(views, masks, z_anchor)

        feature_map, rows = self.encode(self.backbone, mixed, mixed_mask)
        z_q = self.projector(rows.mean(feature_map.mean((2, 3))))

        with torch.no_grad():
            feature_map, rows = self.encode(self.backbone_k, views['key'], masks['key'])
            actionlet = self.actionlet_head(feature_map, rows, self.projector_k, z_anchor)
            pooled = semantic_aware_pooling(feature_map, actionlet)
            z_k = self.projector_k(rows.mean(pooled, present_only=True))

        memory = self.memory.valid()
        loss, teacher_entropy = self.mining_loss(z_q, z_k, memory)
        self.log_scalars = {
            'mi_bound': log_size(memory) - (loss.detach() - teacher_entropy),
            'anchor_similarity': F.cosine_similarity(z_k, z_anchor).mean(), **region_scalars}
        self.hold(z_k)
        return loss

    @torch.no_grad()
    def motion_adaptive_view(self, views: Views, masks: Views, z_anchor: Tensor
                             ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Section 3.3: ``A * T_act(X) + (1 - A) * T_non(X)``.

        A comes from a pass of the online encoder over T_act(X), in eval mode so that neither dropout
        nor batch statistics blur it.

        Returns:
            The mixed view (N, M, T, V, C), its mask (N, M) and statistics of A over present persons.
        """
        act, non = views['act'], views['non']
        with eval_mode(self.backbone, self.projector):
            feature_map, rows = self.encode(self.backbone, act, masks['act'])
            actionlet = self.actionlet_head(feature_map, rows, self.projector, z_anchor)
        region = self.actionlet_head.region(actionlet, act.shape[2])
        present = region[rows.present]
        # nobody in the whole batch: no mask, so no numbers about it
        scalars = {'mask_mean': present.mean(), 'mask_share': (present > 0.5).float().mean()} if len(present) else {}
        region = rows.unfold(region)[..., None]
        return region * act + (1 - region) * non, masks['act'] | masks['non'], scalars

    @torch.no_grad()
    def set_anchor(self, anchor: Tensor) -> None:
        """Take (M, T, V, C) joints as the static anchor.

        Raises:
            ConfigError: If they have another shape than the model was built for.
        """
        if self.anchor.shape != anchor.shape:
            raise ConfigError(
                f'the static anchor has shape {tuple(self.anchor.shape)} (M, T, V, C), the training data '
                f'{tuple(anchor.shape)}; set max_persons, num_frames and layout at the top of the config, '
                'in_channels of the backbone to C')
        self.anchor.copy_(anchor)
        self.anchor_ready.fill_(True)

    @torch.no_grad()
    def anchor_projection(self) -> Tensor:
        """Projection (1, D) of the static anchor by the key encoder; eval mode, one sample has no statistics."""
        if not self.anchor_ready:
            raise ConfigError('StaticAnchorHook is missing from custom_hooks: stage two needs the mean motion of '
                              "the training set; add dict(type='StaticAnchorHook') to custom_hooks")
        anchor = self.anchor[None]
        mask = anchor.flatten(2).abs().amax(2) > 0
        with eval_mode(self.backbone_k, self.projector_k):
            x = to_stream(anchor, self.stream, self.layout)
            feature_map, rows = self.encode(self.backbone_k, x, mask)
            return self.projector_k(rows.mean(feature_map.mean((2, 3))))

    @torch.no_grad()
    def actionlet(self, keypoint: Tensor, mask: Tensor) -> Tensor:
        """Raw actionlet (N, M, T', V) of prepared joints (N, M, T, V, C), by the online encoder."""
        with eval_mode(self.backbone, self.projector):
            x = to_stream(keypoint, self.stream, self.layout)
            feature_map, rows = self.encode(self.backbone, x, mask)
            raw = self.actionlet_head(feature_map, rows, self.projector, self.anchor_projection())
        return rows.unfold(raw)
