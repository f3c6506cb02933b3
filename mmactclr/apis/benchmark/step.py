"""What a training step costs, against the same step without any shortcut."""
import argparse
import dataclasses
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.config import Config

from mmactclr.errors import ConfigError
from mmactclr.models import ActCLR, BaseAlgorithm

from .measure import (
    PRECISIONS,
    Row,
    Table,
    alternate,
    check_precisions,
    count_flops,
    find_device,
    matrix_peak,
    peak_memory,
    precision_of,
    ratio,
)
from .plain_step import PlainActCLR
from .setup import Size, add_size_arguments, build_method, build_optimizer, read_config, size_of, synthetic_batch

# sequences of NTU RGB+D 60, cross-subject, and epochs of the paper: what hours are projected for
PAPER_SEQUENCES, PAPER_EPOCHS = 40091, 400
HOUR = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said about the step."""
    add_size_arguments(parser, batch=32)
    parser.add_argument('--stage', type=int, choices=(1, 2), default=2, help='of ActCLR (default: %(default)s)')
    parser.add_argument('--compile', action='store_true', help='torch.compile the encoders')
    parser.add_argument('--no-memory', action='store_true', help='leave out the processes that measure memory')


def run(args: argparse.Namespace) -> list[Table]:
    """Measure a step in every precision, its memory, then how the costs grow."""
    cfg, device = read_config(args.config, args.cfg_options), find_device(args.device)
    size = size_of(cfg, args.batch, args.frames, args.persons, args.absent)
    rows = list(measure(cfg, size, device, args))
    title = (f'Step: {cfg.model.type}, stage {args.stage}, {size.batch} sequences, {size.frames} frames, '
             f'{size.persons} persons{", compiled" if args.compile else ""}')
    tables = [Table(title, rows)]
    if args.grow:
        tables.append(Table('Growth of the step', list(grow(cfg, size, device, args))))
    return tables


def our_step(cfg: Config, size: Size, device: torch.device, precision: str, stage: int = 2,
             compiled: bool = False) -> Callable[[], dict[str, Any]]:
    """A whole step: augmentation, losses, backward, optimiser, momentum and memory."""
    method = build_method(cfg, size, device, stage)
    wrapper = build_optimizer(cfg, [p for p in method.parameters() if p.requires_grad], precision)
    branches = list(method.branches().values())
    batch = synthetic_batch(size, branches[0].layout.num_joints, _channels(branches[0]))
    if compiled:
        for branch in branches:
            branch.backbone.compile()
            branch.backbone_k.compile()

    def step() -> dict[str, Any]:
        with precision_of(precision, device):
            losses = method.train_step(batch, wrapper)
            for branch in branches:
                branch.memory.enqueue(branch.pending_keys)
                branch.pending_keys = branch.pending_anchor = None
                branch.momentum_update(0.999)
        method.set_progress(method.seed, method.epoch, method.iteration + 1, 0)
        return losses
    return step


def plain_step(cfg: Config, size: Size, device: torch.device, stage: int = 2) -> Callable[[], Any] | None:
    """The same from the same augmented views on, without shortcuts; None for what has no plain counterpart."""
    method = build_method(cfg, size, device, stage)
    plain = [PlainActCLR(branch).to(device).train() for branch in method.branches().values() if _is_plain(branch)]
    if len(plain) != len(method.branches()):
        return None
    wrappers = [build_optimizer(cfg, each.trained(), 'fp32') for each in plain]
    batch = synthetic_batch(size, plain[0].method.layout.num_joints, _channels(method))

    def step() -> None:
        with precision_of('fp32', device):
            views = method.training_views(batch)
            for each, wrapper in zip(plain, wrappers, strict=True):
                each.step(views, wrapper.optimizer)
        method.set_progress(method.seed, method.epoch, method.iteration + 1, 0)
    return step


def _is_plain(branch: BaseAlgorithm) -> bool:
    return type(branch) is ActCLR and branch.anchor_source != 'ema'


def _channels(method: BaseAlgorithm) -> int:
    return getattr(next(iter(method.branches().values())).backbone, 'in_channels', 3)


def measure(cfg: Config, size: Size, device: torch.device, args: argparse.Namespace) -> Iterator[Row]:
    """A row for every precision, and one for the plain step."""
    precisions = check_precisions(args.precision, device)
    calls = {name: our_step(cfg, size, device, name, args.stage, args.compile) for name in precisions}
    plain = plain_step(cfg, size, device, args.stage)
    # a compiled step hides its operations from the counter
    flops = count_flops(our_step(cfg, size, device, precisions[0], args.stage))
    seconds = alternate({**({'plain': plain} if plain else {}), **calls}, args.repeats, device)
    memory = _memories(cfg, size, device, args, seconds)
    for name, each in seconds.items():
        median = statistics.median(each)
        row = {'': name if name in PRECISIONS else f'{name} fp32', 's': median, 'sequences/s': size.batch / median}
        if name in PRECISIONS:
            row |= {'GFLOP': flops / 1e9, 'of the matrix peak': f'{flops / median / matrix_peak(name, device):.0%}',
                    f'hours of {PAPER_EPOCHS} epochs of {PAPER_SEQUENCES}':
                        median / size.batch * PAPER_SEQUENCES * PAPER_EPOCHS / HOUR}
        row |= {'plain / this': ratio(seconds['plain'], each)} if plain else {}
        row |= {'MiB': memory[name]} if name in memory else {}
        row |= {'of the plain MiB': f'{memory[name] / memory["plain"]:.0%}'} if 'plain' in memory else {}
        yield row


def _memories(cfg: Config, size: Size, device: torch.device, args: argparse.Namespace,
              names: dict[str, Any]) -> dict[str, float]:
    """Peak memory of every step, each in a process of its own."""
    if args.no_memory:
        return {}
    settings = (str(cfg.filename), dict(args.cfg_options or {}), size, str(device), args.stage)
    return {name: peak_memory(_run_once, name, *settings) for name in names}


def _run_once(name: str, source: str, options: dict[str, Any], size: Size, device: str, stage: int) -> None:
    """Two steps, the second with gradients and momenta in place; called in a process of its own."""
    cfg, where = read_config(source, options), torch.device(device)
    step = plain_step(cfg, size, where, stage) if name == 'plain' else our_step(cfg, size, where, name, stage)
    if step is None:
        raise ConfigError(f'{source}: the model has no plain counterpart')
    for _ in range(2):
        step()


def grow(cfg: Config, size: Size, device: torch.device, args: argparse.Namespace) -> Iterator[Row]:
    """Seconds of a step for other batches, frames, persons and memories."""
    precision = args.precision[0]
    cases = {'as above': (size, None)}
    for field in ('batch', 'frames'):
        for value in (getattr(size, field) // 2, 2 * getattr(size, field)):
            cases[f'{field} {value}'] = dataclasses.replace(size, **{field: value}), None
    cases['persons 1'] = dataclasses.replace(size, persons=1), None
    memory = cfg.model.get('branch', cfg.model).memory.size
    for value in (memory // 4, 4 * memory):
        cases[f'memory {value}'] = size, value
    for name, (each, keys) in cases.items():
        changed = cfg.copy()
        if keys:
            changed.model.get('branch', changed.model).memory.size = keys
        step = our_step(changed, each, device, precision, args.stage)
        seconds = statistics.median(alternate({'ours': step}, args.repeats, device)['ours'])
        yield {'': name, f'{precision}, s': seconds, 'sequences/s': each.batch / seconds}
