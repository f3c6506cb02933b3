"""Streams that learn from each other, by memories whose columns are the same sequences."""
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmactclr.errors import ConfigError

from .moco import MoCo
from .multi_stream import MultiStream


class AlignedStreams(MultiStream):
    """Base of methods with terms between streams: column j of every memory is a key of the same sequence.

    All streams come from the same augmented pair, every step gives each of them a key a sequence, and
    ``MemoryBankHook`` stores them in the same order, so the memories advance in step from the first key on. What one
    stream finds in its memory can then be read in that of another by its column.

    Args:
        branch: Config of the single-stream method, :class:`MoCo`.
        streams: Streams to train, at least two.
        kwargs: Arguments of :class:`MultiStream`.

    Raises:
        ConfigError: If there is one stream alone, or the branches have no memory.
    """

    def __init__(self, branch: Mapping[str, Any], streams: Sequence[str] = ('joint', 'motion', 'bone'),
                 **kwargs: Any) -> None:
        super().__init__(branch, streams, **kwargs)
        who = type(self).__name__
        if len(streams) < 2:
            raise ConfigError(f'{who}: streams are {list(streams)}, expected two or three that learn from each other')
        strange = [type(one).__name__ for one in self.stream_branches.values() if not isinstance(one, MoCo)]
        if strange:
            raise ConfigError(f'{who}: branch is of type {strange[0]}, expected MoCo, which has a memory and a key '
                              'encoder')
        divided = [stream for stream, one in self.contrastive_branches().items() if one.memory.by_archive]
        if divided:
            raise ConfigError(f'{who}: branch.memory.by_archive is True, which MoCo and ActCLR know; leave it out')
        # stands in checkpoints whose memories were filled together
        self.register_buffer('aligned', torch.ones((), dtype=torch.bool))
        self.register_load_state_dict_pre_hook(_forget_foreign_memories)

    def contrastive_branches(self) -> dict[str, MoCo]:
        """The branches by stream, which all have a memory."""
        return cast(dict[str, MoCo], self.branches())

    def memories(self) -> dict[str, Tensor]:
        """What each memory holds, (K', D) unit-length keys by stream, with the same K' in all of them.

        Raises:
            ConfigError: If the memories were not filled in step.
        """
        banks = {stream: branch.memory for stream, branch in self.contrastive_branches().items()}
        states = {stream: (int(bank.filled), int(bank.pointer), bank.size) for stream, bank in banks.items()}
        if len(set(states.values())) > 1:
            found = ', '.join(f'{stream} {filled} of {size} keys, next slot {pointer}'
                              for stream, (filled, pointer, size) in states.items())
            raise ConfigError(f'{type(self).__name__}: the memories of the streams are out of step ({found}), so their '
                              'columns are different sequences; start from the encoders alone: init_from=CKPT in '
                              'place of load_from=CKPT')
        return {stream: bank.valid() for stream, bank in banks.items()}


def _forget_foreign_memories(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Leave out memories that were not filled together, as those of streams that were trained apart and joined."""
    if f'{prefix}aligned' in state:
        return
    foreign = [name for name in state if name.startswith(f'{prefix}stream_branches.') and '.memory.' in name]
    for name in foreign:
        del state[name]
    if foreign:
        print_log(f'{type(module).__name__}: the memories of the checkpoint were filled by streams that were trained '
                  'apart, so their columns are different sequences; they are left out and fill anew',
                  logger='current', level=logging.WARNING)
