"""Where a run stands beside weights, optimiser and schedule: in which epoch, after which batch, with what at hand."""
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.dist import all_gather, get_rank
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmactclr.engine.random_states import restore_random
from mmactclr.errors import DataError

# key of a checkpoint
POSITION = 'position'
# more batches, processes or steps than any run has
_MOST = 2 ** 40


@dataclass(frozen=True)
class Share:
    """How an epoch is dealt out to processes and steps.

    Attributes:
        processes: Number of processes.
        batch_size: Sequences of a step of one process.
        steps: Steps of an epoch.
    """

    processes: int
    batch_size: int
    steps: int

    @property
    def global_batch(self) -> int:
        """Sequences of a step of all processes."""
        return self.processes * self.batch_size


@dataclass(frozen=True)
class Position:
    """What a checkpoint says of the epoch that it was written in.

    Attributes:
        batches: Batches of the epoch that are done.
        share: How that epoch was dealt out.
        validated: Whether the validation that follows the last full epoch, if one does, is done.
        sampler_seed: Seed of the order of the sequences, where the sampler has one.
        random: (processes, bytes) states of the global generators after the last step.
        random_at_epoch: The same at the beginning of the epoch.
        accumulated: (processes, numbers) gradients of an optimiser step that takes several batches and is not
            complete; none otherwise.
    """

    batches: int
    share: Share
    validated: bool
    sampler_seed: int | None
    random: Tensor
    random_at_epoch: Tensor
    accumulated: Tensor | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {**vars(self), 'share': asdict(self.share)}

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any], source: str) -> 'Position | None':
        """The position of a checkpoint; None if it has none, being written at the end of an epoch by mmengine's hook.

        Raises:
            DataError: If it is damaged; ``source`` names the file.
        """
        values = checkpoint.get(POSITION)
        if values is None:
            return None
        try:
            position = cls(**{**values, 'share': Share(**values['share'])})
        except (TypeError, KeyError):
            position = None
        if position is None or not position._is_sound():
            raise DataError(f'checkpoint {source!r}: {POSITION!r}, where in the epoch it was written, is damaged; go '
                            'on from an older one: --resume FILE')
        return position

    def _is_sound(self) -> bool:
        numbers = [self.batches, *vars(self.share).values()]
        # epochs are added to it, and torch takes it with 64 bits
        seed_fits = self.sampler_seed is None or type(self.sampler_seed) is int and abs(self.sampler_seed) < 2 ** 62
        if not all(type(number) is int and 0 <= number < _MOST for number in numbers) or not self.share.global_batch \
                or self.batches > self.share.steps or type(self.validated) is not bool or not seed_fits:
            return False
        states = [self.random, self.random_at_epoch]
        if not all(self._is_row_each(state) and state.dtype == torch.uint8 for state in states):
            return False
        gradients = self.accumulated
        return gradients is None or self._is_row_each(gradients) and gradients.is_floating_point()

    def _is_row_each(self, value: Any) -> bool:
        """Whether it is a tensor with a row for every process."""
        return torch.is_tensor(value) and value.layout == torch.strided and not value.is_meta and value.ndim == 2 \
            and len(value) == self.share.processes

    def batches_for(self, share: Share) -> tuple[int, int]:
        """Batches that are done if the epoch is dealt out otherwise, and sequences that are seen a second time.

        The order of an epoch does not depend on how it is dealt out: every step takes the next ``global_batch``.
        """
        seen = self.batches * self.share.global_batch
        batches = min(seen // share.global_batch, share.steps)
        return batches, seen - batches * share.global_batch

    def restore_random(self, at_epoch: bool) -> None:
        """Set the generators of this process, if there was one of its rank.

        Raises:
            DataError: If their states are none.
        """
        states = self.random_at_epoch if at_epoch else self.random
        if get_rank() >= len(states):
            return
        try:
            restore_random(states[get_rank()])
        except (RuntimeError, ValueError, struct.error) as error:
            raise DataError(f'the checkpoint holds no states of random generators where they should be ({error}); go '
                            'on from an older one: --resume FILE') from error

    def restore_gradients(self, runner: Runner) -> None:
        """Give the weights the gradients that were collected.

        Raises:
            DataError: If they are not as many as the run trains.
        """
        if self.accumulated is not None:
            _set_gradients(_trained(runner), self.accumulated[get_rank()])


def gather_rows(row: Tensor) -> Tensor:
    """(processes, n) tensor on the CPU of the (n,) tensors of all processes."""
    return torch.stack([each.cpu() for each in all_gather(row)])


def collected_gradients(runner: Runner) -> Tensor | None:
    """(numbers,) gradients that wait for more batches, None if there are none; a NaN stands for a missing one."""
    wrapper = runner.optim_wrapper
    if not hasattr(wrapper, 'should_update') or wrapper.should_update():
        return None
    return torch.cat([torch.full_like(each, float('nan')).flatten() if each.grad is None else each.grad.flatten()
                      for each in _trained(runner)])


def _trained(runner: Runner) -> list[nn.Parameter]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _set_gradients(parameters: list[nn.Parameter], numbers: Tensor) -> None:
    sizes = [parameter.numel() for parameter in parameters]
    if sum(sizes) != len(numbers):
        raise DataError(f'the checkpoint holds {len(numbers)} gradients that wait for more batches, the run trains '
                        f'{sum(sizes)} numbers; go on from a checkpoint of the end of an epoch: --resume FILE')
    for parameter, part in zip(parameters, numbers.split(sizes), strict=True):
        if not part.isnan().all():
            # a copy of its own, in the memory order of the weight, as the backward pass makes it
            parameter.grad = torch.empty_like(parameter).copy_(part.view_as(parameter))
