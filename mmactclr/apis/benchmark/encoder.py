"""What the encoder costs, against layers without any shortcut."""
import argparse
import dataclasses
import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models import Recognizer
from mmactclr.models.backbones import STGCN
from mmactclr.models.persons import fold_persons

from .measure import (
    Row,
    Table,
    alternate,
    autocast,
    check_precisions,
    count_flops,
    find_device,
    matrix_peak,
    precision_of,
    ratio,
)
from .plain_encoder import PlainSTGCN
from .setup import Size, add_size_arguments, read_config, size_of, synthetic_batch

MODES = ('inference', 'training')
# a skeleton with fewer joints, to see how they matter
FEW_JOINTS = 'coco17'


class EncoderCase:
    """An encoder, plain or ours, and a batch.

    Args:
        backbone: Config of the encoder.
        size: Size of the batch.
        device: Where it runs.
        layout: Joint layout, in place of that of the config.
    """

    def __init__(self, backbone: dict, size: Size, device: torch.device, layout: str | None = None) -> None:
        backbone = dict(backbone, **(dict(layout=layout) if layout else {}))
        torch.manual_seed(0)
        self.ours = Recognizer(backbone['layout'], backbone=backbone, head=None).to(device)
        encoder = self.ours.backbone
        # an encoder of another kind has no plain counterpart
        self.plain = PlainSTGCN(encoder).to(device) if type(encoder) is STGCN else None
        self.size, self.device = size, device
        batch = synthetic_batch(size, self.ours.layout.num_joints, getattr(encoder, 'in_channels', 3))
        self.x, self.mask = batch['inputs'].to(device), batch['mask'].to(device)

    def encode(self, precision: str) -> Tensor:
        """Pooled features (N, D) by our encoder."""
        with autocast(precision, self.device):
            self.ours._adopt_precision()
        return self.ours.pool(self.ours.backbone, self.x, self.mask)

    def encode_plainly(self) -> Tensor:
        """Pooled features (N, D) by plain layers, which compute all persons."""
        rows, owners = fold_persons(self.x, self.mask, skip_absent=False)
        if self.plain is None:
            raise ConfigError(f'a {type(self.ours.backbone).__name__} has no plain counterpart')
        return owners.mean(self.plain(rows).mean((2, 3)))

    def call(self, model: nn.Module, precision: str, encode: Callable[[], Tensor], mode: str) -> Callable[[], None]:
        """A pass without gradient in eval mode, or forward and backward in training mode."""
        def run() -> None:
            model.train(mode == 'training')
            with precision_of(precision, self.device):
                if mode == 'inference':
                    with torch.no_grad():
                        encode()
                else:
                    model.zero_grad()
                    encode().square().mean().backward()
        return run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said about the encoder."""
    add_size_arguments(parser, batch=32)
    parser.add_argument('--compile', action='store_true', help='torch.compile the encoder')


def run(args: argparse.Namespace) -> list[Table]:
    """Measure inference and training in every precision, then how the costs grow."""
    cfg, device = read_config(args.config, args.cfg_options), find_device(args.device)
    size = size_of(cfg, args.batch, args.frames, args.persons, args.absent)
    precisions = check_precisions(args.precision, device)
    backbone = cfg.model.get('branch', cfg.model).backbone
    rows = [{'': mode, 'precision': precision, **measure(EncoderCase(backbone, size, device), mode, precision, args)}
            for mode in MODES for precision in precisions]
    title = (f'Encoder: {size.batch} sequences, {size.frames} frames, {size.persons} persons, {size.absent:.0%} of '
             f'those after the first absent{", compiled" if args.compile else ""}')
    tables = [Table(title, rows)]
    if args.grow:
        tables.append(Table('Growth of the encoder', list(grow(backbone, size, device, args))))
    return tables


def measure(case: EncoderCase, mode: str, precision: str, args: argparse.Namespace) -> Row:
    """Speed, arithmetic, utilisation and the ratio to the plain layers."""
    calls = {'ours': case.call(case.ours, precision, lambda: case.encode(precision), mode)}
    if case.plain is not None:
        calls['plain'] = case.call(case.plain, 'fp32', case.encode_plainly, mode)
    flops = count_flops(calls['ours'])
    if args.compile:
        case.ours.backbone.compile()
    seconds = alternate(calls, args.repeats, case.device)
    median = statistics.median(seconds['ours'])
    return {'sequences/s': case.size.batch / median, 'GFLOP': flops / 1e9,
            'of the matrix peak': f'{flops / median / matrix_peak(precision, case.device):.0%}',
            **({'plain fp32 / ours': ratio(seconds['plain'], seconds['ours'])} if case.plain is not None else {})}


def grow(backbone: dict, size: Size, device: torch.device, args: argparse.Namespace) -> Iterator[Row]:
    """Seconds of a training pass, from half to twice the size, for other numbers of persons and joints."""
    sizes = {f'{field} {value}': dataclasses.replace(size, **{field: value})
             for field in ('batch', 'frames') for value in (getattr(size, field) // 2, 2 * getattr(size, field))}
    sizes |= {f'persons {value}': dataclasses.replace(size, persons=value) for value in (1, 2)}
    cases = {'as above': (size, None), **{name: (each, None) for name, each in sizes.items()},
             f'layout {FEW_JOINTS}': (size, FEW_JOINTS)}
    precision = args.precision[0]
    for name, (each, layout) in cases.items():
        case = EncoderCase(backbone, each, device, layout)
        call = case.call(case.ours, precision, partial(case.encode, precision), 'training')
        seconds = statistics.median(alternate({'ours': call}, args.repeats, device)['ours'])
        yield {'': name, f'training, {precision}, s': seconds, 'sequences/s': each.batch / seconds}
