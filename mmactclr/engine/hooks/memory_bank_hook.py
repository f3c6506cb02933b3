"""Fills the memory after every step."""
from typing import Any

import torch
from mmengine.dist import all_gather
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.errors import ConfigError
from mmactclr.registry import HOOKS

from .method import get_branches


@HOOKS.register_module()
class MemoryBankHook(Hook):
    """Gathers the keys of this step from all processes and puts them into the memory of every branch.

    Runs before logging and checkpoints, so that a saved memory holds the step it is saved after.
    """

    priority = 'HIGH'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Enqueue ``pending_keys`` of every branch, ranks in order; none of a step that was left out.

        Raises:
            ConfigError: If a branch has none.
        """
        for branch in get_branches(runner, 'MemoryBankHook', 'pending_keys'):
            if branch.step_dropped:
                continue
            if branch.pending_keys is None:
                raise ConfigError(f'{type(branch).__name__} left no keys for its memory after a step, which then stays '
                                  'empty and teaches nothing; call hold(z_k) in its loss terms')
            archives = torch.cat(all_gather(branch.archives)) if branch.memory.by_archive else None
            branch.memory.enqueue(torch.cat(all_gather(branch.pending_keys)), archives)
            branch.pending_keys = None
