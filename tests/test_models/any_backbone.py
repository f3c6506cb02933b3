"""Every registered encoder at a tiny width, the example of the documentation among them."""
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mmactclr.models  # noqa: F401
from mmactclr.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = 'mmactclr.models.backbones.'
EXAMPLE = 'JointConv'
LAYOUT = 'kinect20_utdmhad'
# what an encoder has of these arguments is made small
_SMALL = dict(channels=[8, 12], strided_units=[2], head_channels=4, out_channels=12)


def register_example() -> None:
    """Execute docs/examples/my_backbone.py, once."""
    if EXAMPLE not in MODELS.module_dict:
        path = ROOT / 'docs' / 'examples' / 'my_backbone.py'
        spec = importlib.util.spec_from_file_location('my_backbone', path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def learned_backbones() -> list[str]:
    """Names of all encoders of the package that learn, and of the example."""
    register_example()
    own = [name for name, kind in MODELS.module_dict.items()
           if kind.__module__.startswith(PACKAGE) and not kind.__module__.endswith('.hand_made')]
    return sorted(own) + [EXAMPLE]


BACKBONES = learned_backbones()


def tiny(name: str, layout: Any = LAYOUT, **more: Any) -> dict[str, Any]:
    """Config of an encoder with a dozen channels and one stride, or what it has in their place."""
    known = inspect.signature(MODELS.get(name)).parameters
    options = dict(_SMALL, layout=layout, **more)
    return dict(type=name, **{key: value for key, value in options.items() if key in known})


def build(name: str, layout: Any = LAYOUT, seed: int = 0, **more: Any) -> nn.Module:
    """A tiny encoder whose weights all differ from what they start as, and whose norms have seen something."""
    torch.manual_seed(seed)
    encoder = MODELS.build(tiny(name, layout, **more))
    stir(encoder)
    return encoder


def stir(module: nn.Module, seed: int = 1) -> None:
    """Move every parameter, and the running statistics of batch norms."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        for child in module.modules():
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
                child.running_mean.copy_(0.1 * torch.randn(child.running_mean.shape, generator=generator))
                child.running_var.copy_(0.5 + torch.rand(child.running_var.shape, generator=generator))
