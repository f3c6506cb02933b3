"""Methods, optimisers and batches of the size of a config, without its data."""
import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import Tensor

import mmactclr.engine  # noqa: F401
from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm
from mmactclr.registry import MODELS, OPTIM_WRAPPERS
from mmactclr.utils import load_config

from .measure import PRECISIONS

# share of second persons who are absent, as in NTU RGB+D
ABSENT = 0.65


@dataclass(frozen=True)
class Size:
    """What the cost of a step depends on, next to the method.

    Attributes:
        batch: Sequences N.
        frames: T.
        persons: M.
        absent: Share of the persons after the first who are not there.
    """

    batch: int
    frames: int
    persons: int
    absent: float = ABSENT


def add_size_arguments(parser: argparse.ArgumentParser, batch: int) -> None:
    """What can be said about the size of a batch and the precision of the encoder."""
    parser.add_argument('--batch', type=int, default=batch, help='sequences (default: %(default)s)')
    parser.add_argument('--frames', type=int, help='frames T (default: those of the config)')
    parser.add_argument('--persons', type=int, help='persons M (default: those of the config)')
    parser.add_argument('--absent', type=float, default=ABSENT,
                        help='share of the persons after the first who are absent (default: %(default)s)')
    parser.add_argument('--precision', nargs='+', choices=PRECISIONS, default=['fp32', 'bf16'],
                        help='precisions of the encoder; tf32 on a GPU (default: fp32 bf16)')
    parser.add_argument('--grow', action='store_true', help='also measure how the costs grow with the sizes')


def read_config(source: str, options: Mapping[str, Any] | None = None) -> Config:
    """A pretraining config.

    Raises:
        ConfigError: It is none.
    """
    cfg = load_config(source, options)
    if not isinstance(cfg.get('model'), dict) or 'data_preprocessor' not in cfg.model:
        raise ConfigError(f"{cfg.filename}: its model has no data_preprocessor; name the config of a pretraining, such "
                          'as configs/actclr/actclr_joint_ntu60_xsub.py')
    return cfg


def size_of(cfg: Config, batch: int | None = None, frames: int | None = None, persons: int | None = None,
            absent: float = ABSENT) -> Size:
    """The size of a config where nothing else is said."""
    size = Size(batch or cfg.train_dataloader.batch_size, frames or cfg.get('num_frames', 50),
                persons or cfg.get('max_persons', 2), absent)
    if not 0 <= size.absent <= 1 or min(size.batch, size.frames, size.persons) < 1:
        raise ConfigError(f'{size}: expected numbers from 1 up and a share between 0 and 1')
    return size


def synthetic_batch(size: Size, num_joints: int, channels: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """A batch as the loader gives it, with random motion: walks of every joint, in metres."""
    generator = torch.Generator().manual_seed(seed)
    shape = (size.batch, size.persons, size.frames, num_joints, channels)
    steps = torch.randn(shape, generator=generator) / size.frames ** 0.5
    joints = steps.cumsum(2) * 0.2 + torch.randn(*shape[:2], 1, *shape[3:], generator=generator) * 0.3
    mask = torch.ones(size.batch, size.persons, dtype=torch.bool)
    gone = torch.randperm(size.batch, generator=generator)[:round(size.absent * size.batch)]
    mask[gone, 1:] = False
    number = torch.arange(size.batch)
    return dict(inputs=joints * mask[:, :, None, None, None], mask=mask, index=number,
                label=torch.zeros_like(number), role=torch.zeros_like(number))


def build_method(cfg: Config, size: Size, device: torch.device, stage: int = 2, seed: int = 0) -> BaseAlgorithm:
    """The method of a config in a stage, in training mode, its memory full of random keys."""
    model = cfg.model.copy()
    single = model.get('branch', model)
    if 'max_persons' in single:
        single.update(max_persons=size.persons, num_frames=size.frames)
    torch.manual_seed(seed)
    method = MODELS.build(model)
    method.init_weights()
    method.to(device).train()
    stages = getattr(next(iter(method.branches().values())), 'stage_epochs', (0, 0))
    method.set_progress(seed, stages[0] if stage == 2 else 0, 0, 0)
    for branch in method.branches().values():
        memory = getattr(branch, 'memory', None)
        if memory is not None:
            memory.enqueue(torch.nn.functional.normalize(torch.randn(memory.size, memory.dim, device=device), dim=1))
        if getattr(branch, 'anchor_source', None) == 'dataset':
            batch = synthetic_batch(size, branch.layout.num_joints, branch.anchor.shape[-1], seed=1)
            branch.set_anchor(batch['inputs'].mean(0).to(device))
    return method


def build_optimizer(cfg: Config, parameters: list[torch.nn.Parameter], precision: str) -> OptimWrapper:
    """The optimiser of a config over some parameters."""
    optimizer = dict(cfg.optim_wrapper.optimizer)
    kind = optimizer.pop('type')
    wrapper = 'OptimWrapper' if PRECISIONS[precision] is None else 'AutocastOptimWrapper'
    return OPTIM_WRAPPERS.build(dict(type=wrapper, optimizer=getattr(torch.optim, kind)(parameters, **optimizer)))
