"""bf16 training on CPU and GPU."""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmactclr.errors import ConfigError
from mmactclr.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs encoders under ``torch.autocast`` on whatever device the model is.

    mmengine's AmpOptimWrapper insists on a GPU and scales losses for fp16; bf16 needs neither.

    Args:
        dtype: Name of the low-precision type.
        kwargs: Arguments of :class:`mmengine.optim.OptimWrapper`.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dtype != 'bfloat16':
            raise ConfigError(f"AutocastOptimWrapper: dtype is {dtype!r}, expected 'bfloat16'; for fp16 on a GPU "
                              'use AmpOptimWrapper, which scales the loss')
        self.dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast on the device of the model."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=self.dtype):
            yield
