"""SkeleMixCLR (Chen et al., 2022): each half of a mixed sequence is to find the sequence that it comes from."""
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.models.persons import PersonRows
from mmactclr.registry import MODELS
from mmactclr.transforms import cyclic_partner, draw_block, paste_block
from mmactclr.utils import derive_seed

from .base import NO_MIXES, Mixes, Views
from .moco import MoCo


@MODELS.register_module()
class SkeleMixCLR(MoCo):
    """:class:`MoCo` with spatio-temporally mixed queries, pooled inside and outside of what was pasted.

    Chen et al., *Contrastive Learning from Spatio-Temporal Mixed Skeleton Sequences for Self-Supervised
    Skeleton-Based Action Recognition*, 2022: ``L = L_ins + 0.5 L_p + 0.5 L_c``. L_ins is InfoNCE between two weak
    views. In the mixed query some body parts over a run of cells come from another sequence of the batch; of one
    feature map the pasted region gives z_p, to find the key of that other sequence (L_p), and the rest gives z_c, to
    find the own key (L_c). The other half of the mix is one more negative beside the memory, without gradient.
    SkeleMixCLR+ draws several mixed queries a step, each with its own partner and block, and sums their losses.

    Args:
        parts: Least and most body parts of a block; the layout tells which joints they are.
        cells: Least and most cells of a block, in cells of the feature map; of a shorter map all.
        repeat: Mixed queries of a step: 1 is SkeleMixCLR, 3 the authors' SkeleMixCLR+.
        region_weight: Weight of L_p and of L_c.
        kwargs: Arguments of :class:`MoCo`; ``loss`` gives the temperature of all terms.

    Raises:
        ConfigError: If ``parts``, ``cells`` or ``repeat`` cannot be, or the backbone does not tell how many frames a
            cell has (``temporal_stride``) or leaves out a cell that is not full.
    """

    keeps_joints = whole_cells = True
    divides_memory = False

    def __init__(self, parts: tuple[int, int] = (2, 3), cells: tuple[int, int] = (6, 9), repeat: int = 1,
                 region_weight: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, (low, high) in dict(parts=parts, cells=cells).items():
            if not 1 <= low <= high:
                raise ConfigError(f'SkeleMixCLR: {name} is {(low, high)}, expected 1 <= least <= most')
        if parts[1] >= len(self.layout.part_names):
            raise ConfigError(f'SkeleMixCLR: parts is {tuple(parts)}, expected fewer than the '
                              f'{len(self.layout.part_names)} body parts, so that some remain')
        if repeat < 1:
            raise ConfigError(f'SkeleMixCLR: repeat is {repeat}, expected at least one mixed query a step')
        if not region_weight >= 0:
            raise ConfigError(f'SkeleMixCLR: region_weight is {region_weight}, expected a number from 0 up')
        self.parts, self.cells = (parts[0], parts[1]), (cells[0], cells[1])
        self.repeat, self.region_weight = repeat, region_weight

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """L_ins of ``query`` and ``key``, each (N, M, T, V, C), then the region losses of every mixed query."""
        # it leaves the keys of this step in pending_keys
        yield from super().loss_terms(inputs, masks, mixes)
        region_losses: list[Tensor] = []
        for number in range(1, self.repeat + 1):
            with self.branch_rng(f'mix{number}'):
                losses = self.mixed_contrast(inputs[self.stream]['query'], masks['query'], number)
            region_losses.append(losses.detach())
            pasted, rest = torch.stack(region_losses).mean(0)
            self.log_scalars |= {'nce_pasted': pasted, 'nce_rest': rest}
            yield 'loss_mix' if self.repeat == 1 else f'loss_mix_{number}', self.region_weight * losses.sum()

    def mixed_contrast(self, query: Tensor, mask: Tensor, number: int) -> Tensor:
        """L_p and L_c of one mixed query, (2,).

        Partner and block are those of the step, in all streams alike.

        Args:
            query: (N, M, T, V, C) weak views.
            mask: (N, M) persons present.
            number: Which mixed query of the step it is.
        """
        generator = torch.Generator().manual_seed(
            derive_seed('mixed query', self.seed, self.iteration, self.rank, number))
        partner = cyclic_partner(len(query), generator).to(query.device)
        stride = self.backbone.temporal_stride
        block = draw_block(self.layout, -(-query.shape[2] // stride), self.parts, self.cells, generator)
        block = block.to(query.device)
        mixed = paste_block(query, query[partner], block, stride)
        feature_map, rows = self.encode(self.backbone, mixed, mask | mask[partner])
        z_p = self.projector(self.pool_region(feature_map, rows, block, mask[partner]))
        z_c = self.projector(self.pool_region(feature_map, rows, ~block, mask))
        z_k, memory = cast(Tensor, self.pending_keys), self.memory.valid()
        return torch.stack([self.contrastive_loss(z_p, z_k[partner], memory, negative=z_c),
                            self.contrastive_loss(z_c, z_k, memory, negative=z_p)])

    def pool_region(self, feature_map: Tensor, rows: PersonRows, region: Tensor, mask: Tensor) -> Tensor:
        """Mean over a region of each person, then over persons as the keys are pooled.

        Args:
            feature_map: (P, C, T', V).
            rows: Sequence and person of its rows.
            region: (T', V) bool.
            mask: (N, M) persons of the sequence that the region comes from; counts with ``skip_absent``.

        Returns:
            (N, C).
        """
        weight = region.to(feature_map.dtype)
        pooled = (feature_map * weight).sum((2, 3)) / weight.sum().clamp(min=1)
        owners = replace(rows, present=mask[rows.owner, rows.person])
        return owners.mean(pooled, present_only=self.skip_absent)
