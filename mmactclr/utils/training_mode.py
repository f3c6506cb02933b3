"""Switching modules to evaluation for a while."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Run a block with ``modules`` in eval mode; afterwards every submodule is as it was before."""
    training = [child for module in modules for child in module.modules() if child.training]
    for child in training:
        child.training = False
    try:
        yield
    finally:
        for child in training:
            child.training = True
