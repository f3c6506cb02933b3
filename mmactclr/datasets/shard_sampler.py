"""Deals the sequences of several archives out to processes that each read some of them."""
import logging
import math
from collections.abc import Iterator

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Sampler

from mmactclr.errors import ConfigError
from mmactclr.registry import DATA_SAMPLERS
from mmactclr.utils import derive_seed

from .sharded_dataset import ShardedSkeletonDataset

# positions turned into Python numbers at a time
_CHUNK = 65536
# shares that differ by more than this from the mean are worth a warning
_UNEVEN = .1


@DATA_SAMPLERS.register_module()
class ShardSampler(Sampler):
    """Gives every process as many sequences an epoch, out of the archives that it reads.

    Where all processes read all archives the order is that of mmengine's ``DefaultSampler``, and the global batch
    is the same for any number of processes. Otherwise those that share an archive divide each epoch's
    order of it among themselves. A process whose archives hold more than its share leaves some out, others in every
    epoch; one whose archives hold less repeats some.

    An epoch has as many sequences as the archives together, however they are balanced.

    Args:
        dataset: What to sample from.
        seed: Seed of the order; the same in all processes if None.
        balance: Exponent a of n ** a, the share of an archive of n sequences in an epoch: 1 takes every sequence
            once, 0 as many of each archive. Of one that gives more than it has, all come up before one does again;
            of one that gives less, others in every epoch.

    Attributes:
        num_samples (int): Sequences of this process in an epoch.

    Raises:
        ConfigError: The dataset is of another kind, or ``balance`` is not between 0 and 1.
    """

    def __init__(self, dataset: ShardedSkeletonDataset, seed: int | None = None, balance: float = 1.) -> None:
        if not isinstance(dataset, ShardedSkeletonDataset):
            raise ConfigError(f'ShardSampler: the dataset is {type(dataset).__name__}, expected ShardedSkeletonDataset'
                              '; use DefaultSampler')
        if not 0 <= balance <= 1:
            raise ConfigError(f'ShardSampler: balance is {balance}, expected a number from 0 (as many sequences of '
                              'each archive) to 1 (each sequence once)')
        self.dataset, self.balance = dataset, balance
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.num_samples = math.ceil(dataset.total / self.world_size)
        if dataset.divided:
            self._warn_of_uneven_shares()

    def _warn_of_uneven_shares(self) -> None:
        shares = [sum(shard.chosen / len(shard.holders) for shard in self.dataset.shards if rank in shard.holders)
                  for rank in range(self.world_size)]
        low, high = min(shares), max(shares)
        if high - self.num_samples > _UNEVEN * self.num_samples or self.num_samples - low > _UNEVEN * self.num_samples:
            print_log(f'archives are spread unevenly: processes have {low:.0f} to {high:.0f} sequences and take '
                      f'{self.num_samples} an epoch; those of processes with few are repeated, those of processes with '
                      'many come up less often', logger='current', level=logging.WARNING)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = self._own_order() if self.dataset.divided else self._common_order()
        for chunk in order.split(_CHUNK):
            yield from chunk.tolist()

    def _common_order(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.balance == 1:
            order = torch.randperm(len(self.dataset), generator=generator)
        else:
            starts = [self.dataset.start(number) for number in range(len(self.dataset.shards))]
            order = self._balanced([start + torch.arange(shard.chosen) for start, shard
                                    in zip(starts, self.dataset.shards, strict=True)], len(self.dataset), generator)
        return _repeated(order, self.num_samples * self.world_size)[self.rank::self.world_size]

    def _own_order(self) -> Tensor:
        own = []
        for number, shard in enumerate(self.dataset.shards):
            if self.rank not in shard.holders:
                continue
            order = torch.randperm(shard.chosen, generator=self._generator(shard.key))
            # of an archive with fewer sequences than readers all take all
            share = len(shard.holders) if shard.chosen >= len(shard.holders) else 1
            mine = order[shard.holders.index(self.rank) % share::share]
            own.append(mine + self.dataset.start(number))
        generator = self._generator(str(self.rank))
        if self.balance < 1:
            return self._balanced(own, self.num_samples, generator)
        pool = torch.cat(own)
        pool = pool[torch.randperm(len(pool), generator=generator)]
        return _repeated(pool, self.num_samples)

    def _balanced(self, archives: list[Tensor], total: int, generator: torch.Generator) -> Tensor:
        """``total`` positions in random order, of each archive its share, from its positions."""
        weights = torch.tensor([len(positions) for positions in archives], dtype=torch.float64) ** self.balance
        ends = (weights.cumsum(0) / weights.sum() * total).round().long().tolist()
        chosen = []
        for positions, begin, end in zip(archives, [0, *ends[:-1]], ends, strict=True):
            rounds = math.ceil((end - begin) / len(positions))
            orders = [positions[torch.randperm(len(positions), generator=generator)] for _ in range(rounds)]
            chosen += [torch.cat(orders)[:end - begin]] if rounds else []
        pool = torch.cat(chosen)
        return pool[torch.randperm(len(pool), generator=generator)]

    def _generator(self, of: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed('shards', self.seed, self.epoch, of))


def _repeated(order: Tensor, length: int) -> Tensor:
    """The first ``length`` of an order that starts again where it ends."""
    return order.repeat(math.ceil(length / len(order)))[:length]
