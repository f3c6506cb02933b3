"""Looks at losses and gradients before the optimiser steps."""
import functools
from typing import Any

import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.optim import OptimWrapper
from torch import Tensor


class StepGuard:
    """Keeps an optimiser from stepping on losses or gradients that are not finite.

    Wraps ``backward`` and ``step`` of one optimiser wrapper, of whatever class, from its creation until
    :meth:`remove`. Losses and the norms of all gradients are added up on their device, over all processes, and the sum
    is read once a step. Where an fp16 scaler is at work the gradients are left to it, since their overflow is how it
    finds its scale; the losses are looked at all the same.

    Args:
        wrapper: Optimiser wrapper of a run.
        named_parameters: The parameters that it trains, by name.

    Attributes:
        bad: Whether the last step was refused.
        parameters: Names of up to ten parameters whose gradients were not finite when a step was refused.
    """

    def __init__(self, wrapper: OptimWrapper, named_parameters: dict[str, Tensor]) -> None:
        self.wrapper, self._named = wrapper, named_parameters
        self._backward, self._step = wrapper.backward, wrapper.step
        scaler = getattr(wrapper, 'loss_scaler', None)
        self._scaled = scaler is not None and scaler.is_enabled()
        self._losses: list[Tensor] = []
        self.bad = False
        self.parameters: list[str] = []
        # schedulers put a counter around step and miss it unless it is there
        wrapper.backward, wrapper.step = self.backward, functools.wraps(self._step)(functools.partial(self.step))

    def remove(self) -> None:
        """Give the wrapper its own methods back."""
        self.wrapper.backward, self.wrapper.step = self._backward, self._step

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Remember the loss and run its backward pass."""
        self._losses.append(loss.detach())
        self._backward(loss, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Step, unless a loss since the last step or a gradient is not finite in any process."""
        if self._finite():
            self._step(**kwargs)
            return
        self.bad = True
        self.parameters = [name for name, value in self._named.items()
                           if value.grad is not None and not torch.isfinite(value.grad).all()][:10]

    def losses_finite(self) -> bool:
        """Whether the losses of this iteration are finite in all processes, for one that takes no step."""
        return bool(torch.isfinite(self._total(self._losses)))

    def start(self) -> None:
        """Begin an iteration."""
        self._losses.clear()
        self.bad, self.parameters = False, []

    def _finite(self) -> bool:
        values = list(self._losses)
        if not self._scaled:
            gradients = [value.grad for value in self._named.values() if value.grad is not None]
            values += torch._foreach_norm(gradients) if gradients else []
        return bool(torch.isfinite(self._total(values)))

    def _total(self, values: list[Tensor]) -> Tensor:
        """Sum of scalars over all processes; not finite if one of them is not."""
        total = torch.stack([value.float() for value in values]).sum()
        if is_distributed():
            all_reduce(total)
        return total
