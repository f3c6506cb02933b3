"""AimCLR (Guo et al., AAAI 2022): extreme views learn from the distribution that a normal view finds."""
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.models.losses import d3m, key_and_neighbours, multi_positive
from mmactclr.registry import MODELS

from .base import NO_MIXES, Mixes, Views
from .moco import MoCo, log_size


@MODELS.register_module()
class AimCLR(MoCo):
    """:class:`MoCo` with an extreme view, attention-guided drop, D3M and, later, nearest-neighbour mining.

    Guo et al., *Contrastive Learning from Extremely Augmented Skeleton Sequences for Self-supervised Action
    Recognition*, AAAI 2022. With p(x) = softmax([x·z_k, x·M] / tau) over the key and the memory,
    ``L = L_nce + (L_e + L_d) / 2``: L_nce contrasts the normal query with its key; L_e and L_d are cross-entropies from
    p(z_q), without gradient, to p of the extreme view and of the same view after the drop. Once mining has begun, the
    memory entries nearest to z_q, z_e and z_d are positives of L_nce beside the key.

    Args:
        drop: Config of the :class:`EnergyDrop`.
        mining_epoch: Epochs without mining, as the run counts them from one: 150 mines in epochs 151, 152, ... (those
            that the code counts 150, 151, ... from zero).
        kwargs: Arguments of :class:`MoCo`; ``loss`` gives the temperature of all terms.

    Raises:
        ConfigError: If ``mining_epoch`` is negative.
    """

    divides_memory = False

    def __init__(self, drop: Mapping[str, Any], mining_epoch: int = 150, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mining_epoch < 0:
            raise ConfigError(f'AimCLR: mining_epoch is {mining_epoch}, expected the number of epochs without '
                              'nearest-neighbour mining, from 0 up')
        self.drop = MODELS.build(dict(drop))
        self.mining_epoch = mining_epoch

    @property
    def mining(self) -> bool:
        """Whether the epoch mines nearest neighbours, a function of the epoch alone."""
        return self.epoch >= self.mining_epoch

    def view_names(self) -> tuple[str, ...]:
        """Two weak views and an extreme one."""
        return (*super().view_names(), 'extreme')

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """L_nce and (L_e + L_d) / 2 of ``query``, ``key`` and ``extreme``, each (N, M, T, V, C)."""
        self.check_hooks()
        with self.branch_rng():
            query, extreme, dropped = self.similarities(inputs[self.stream], masks)
        positives = key_and_neighbours(query, extreme, dropped, mining=self.mining)
        self.log_scalars = {
            'mi_bound': log_size(self.memory.valid()) + query.detach().log_softmax(1)[:, 0].mean(),
            'positives': positives.sum(1).float().mean()}
        yield 'loss_nce', multi_positive(query, positives)
        yield 'loss_d3m', d3m(query, extreme, dropped)

    def similarities(self, views: Views, masks: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, 1 + K) over key and memory of the query, of the extreme view, and of that after the drop.

        Query and extreme view have graphs of their own; the last two share one pass through the encoder.
        """
        z_q = self.project_query(views, masks)
        feature_map, rows = self.encode(self.backbone, views['extreme'], masks['extreme'])
        z_e = self.projector(rows.mean(feature_map.mean((2, 3))))
        z_d = self.projector(rows.mean(self.drop(feature_map).mean((2, 3))))
        z_k = self.project_key(views, masks)
        self.hold(z_k)
        memory = self.memory.valid()
        query, extreme, dropped = (self.contrastive_loss.logits(z, z_k, memory) for z in (z_q, z_e, z_d))
        return query, extreme, dropped
