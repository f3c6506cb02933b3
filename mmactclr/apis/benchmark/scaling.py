"""What many GPUs and many sequences would cost, projected from what is measured here."""
import argparse
import math
import os
import statistics
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from torch.distributed import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from mmactclr.datasets import prepared_sequences
from mmactclr.engine import DistributedMethod
from mmactclr.engine.hooks import MemoryBankHook
from mmactclr.errors import ConfigError

from .data import bytes_per_sequence, open_dataset, write_archive
from .measure import MIB, Row, Table, alternate, count_flops
from .setup import Size, add_size_arguments, build_method, build_optimizer, read_config, size_of, synthetic_batch
from .step import our_step

GIB, HOUR = 2 ** 30, 3600
# sequences whose bytes are counted; all of them are NTU's in kind
_SAMPLE = 2000
_FRAMES = 8
# seconds that two processes of this machine wait for each other
_PATIENCE = 600
_WORLD = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is assumed of the machines that are not here."""
    add_size_arguments(parser, batch=128)
    parser.add_argument('--gpus', type=int, nargs='+', default=[1, 8, 64, 512],
                        help='numbers of GPUs, --batch sequences each (default: %(default)s)')
    parser.add_argument('--sequences', type=float, default=1e8, help='training sequences (default: %(default)g)')
    parser.add_argument('--tflops', type=float, default=20,
                        help='10^12 operations a second that a GPU is assumed to reach in a step; as measured, it is '
                             'GFLOP / s of `benchmark.py step --device cuda` / 1000 (default: %(default)s)')
    parser.add_argument('--bandwidth', type=float, default=10,
                        help='GB a second that a GPU is assumed to send and receive (default: %(default)s)')
    parser.add_argument('--latency', type=float, default=20,
                        help='microseconds that a message is assumed to take (default: %(default)s)')
    parser.add_argument('--processes-per-machine', type=int, default=8, help='(default: %(default)s)')


def run(args: argparse.Namespace) -> list[Table]:
    """Measure one process and two, then project.

    Raises:
        ConfigError: A number is not positive.
    """
    for name in ('sequences', 'tflops', 'bandwidth', 'processes_per_machine'):
        if not getattr(args, name) > 0:
            raise ConfigError(f'--{name.replace("_", "-")} is {getattr(args, name)}, expected more than 0')
    if min(args.gpus) < 1 or args.latency < 0:
        raise ConfigError(f'--gpus {args.gpus} and --latency {args.latency}: expected 1 or more, and no less than 0')
    cfg = read_config(args.config, args.cfg_options)
    size = size_of(cfg, args.batch, args.frames, args.persons, args.absent)
    one = measure_one(cfg, size, args)
    sent = measure_sent(cfg, size, dict(args.cfg_options or {}))
    projected = [project(cfg, size, one, sent, gpus, args) for gpus in args.gpus]
    return [
        Table(f'One process: {cfg.model.type}, {size.batch} sequences, {size.persons} persons, {size.frames} frames',
              [{'': name, 'measured': value} for name, value in one.items()]),
        Table('Handed to the group by every process in a step',
              [{'': name, 'bytes': count} for name, count in sent.items()]),
        Table(f'Projected to {args.sequences:g} sequences: GPUs of {args.tflops:g} TFLOP/s, {args.bandwidth:g} GB/s, '
              f'{args.latency:g} microseconds', projected)]


def measure_one(cfg: Config, size: Size, args: argparse.Namespace) -> dict[str, float]:
    """What a step computes and reads, and what a sequence costs a process that knows of it."""
    precision, device = args.precision[0], torch.device('cpu')
    step = our_step(cfg, size, device, precision)
    flops = count_flops(step)
    seconds = statistics.median(alternate({'step': step}, args.repeats, device)['step'])
    method = build_method(cfg, size, device)
    joints = next(iter(method.branches().values())).layout.num_joints
    read = size.persons * size.frames * joints * 3 * 4
    with tempfile.TemporaryDirectory(prefix='mmactclr_benchmark_') as folder:
        write_archive(Path(folder) / 'archive', _SAMPLE, _FRAMES)
        dataset = open_dataset(Path(folder) / 'archive', _FRAMES)
        prepared = prepared_sequences(dataset.archive, _FRAMES, dataset[0]['mask'].shape[0])
        held = sum(bytes_per_sequence(dataset, prepared.mask).values())
    state = sum(value.numel() * value.element_size() for value in method.state_dict().values())
    return {'GFLOP a sequence': flops / size.batch / 1e9,
            f'{precision}, ms a sequence on this CPU': 1e3 * seconds / size.batch,
            'bytes read a sequence': float(read), 'bytes held a sequence': held, 'MiB of state': state / MIB}


def measure_sent(cfg: Config, size: Size, options: dict[str, Any]) -> dict[str, int]:
    """Bytes that each of two processes hands to the group in a step, by kind; counted in a step of two sequences."""
    few = Size(2, size.frames, size.persons, size.absent)
    with tempfile.TemporaryDirectory(prefix='mmactclr_benchmark_') as folder, \
            ProcessPoolExecutor(_WORLD, mp_context=get_context('spawn')) as pool:
        futures = [pool.submit(_count_sent, rank, f'{folder}/store', str(cfg.filename), options, few)
                   for rank in range(_WORLD)]
        counts = [future.result() for future in futures]
    if counts[0] != counts[1]:
        raise ConfigError(f'the two processes sent different amounts: {counts[0]} and {counts[1]}')
    # keys grow with the batch, the others do not
    return {name: count * (size.batch // few.batch if name == KEYS else 1) for name, count in counts[0].items()}


GRADIENTS, STATISTICS, KEYS = 'gradients', 'running statistics of batch norms', 'keys for the memories'


def _count_sent(rank: int, store: str, source: str, options: dict[str, Any], size: Size) -> dict[str, int]:
    torch.set_num_threads(1)
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    torch.distributed.init_process_group(
        'gloo', store=torch.distributed.FileStore(store, _WORLD), rank=rank, world_size=_WORLD,
        timeout=timedelta(seconds=_PATIENCE))
    try:
        return _count_step(read_config(source, options), size)
    finally:
        torch.distributed.destroy_process_group()


def _count_step(cfg: Config, size: Size) -> dict[str, int]:
    method = build_method(cfg, size, torch.device('cpu'))
    model = DistributedMethod(method, find_unused_parameters=cfg.get('find_unused_parameters', False))
    wrapper = build_optimizer(cfg, [p for p in method.parameters() if p.requires_grad], 'fp32')
    counts: Counter[str] = Counter({GRADIENTS: 0, STATISTICS: 0, KEYS: 0})

    def reduce_bucket(state: Any, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
        size = bucket.buffer().numel() * bucket.buffer().element_size()
        counts[GRADIENTS] += size
        # it is reduced by the function that counts below
        counts[STATISTICS] -= size
        return allreduce_hook(state, bucket)

    def counted(function: Any, kind: str, *args: Any, **kwargs: Any) -> Any:
        # of a gathering the second argument is what this process has, the first is for what all have
        own = args[1] if kind == KEYS else args[0]
        counts[kind] += own.numel() * own.element_size()
        return function(*args, **kwargs)

    model.register_comm_hook(None, reduce_bucket)
    for name, kind in (('all_reduce', STATISTICS), ('all_gather', KEYS)):
        setattr(torch.distributed, name, partial(counted, getattr(torch.distributed, name), kind))
    model.train_step(synthetic_batch(size, next(iter(method.branches().values())).layout.num_joints), wrapper)
    MemoryBankHook().after_train_iter(SimpleNamespace(model=model, optim_wrapper=wrapper), 0)
    return dict(counts)


def project(cfg: Config, size: Size, one: dict[str, float], sent: dict[str, int], gpus: int,
            args: argparse.Namespace) -> Row:
    """An epoch on a number of GPUs.

    Messages go around a ring: a reduction moves its bytes twice, a gathering those of all others. Compute and
    exchange are added up, though DDP hides a part of the reduction behind the backward pass.
    """
    compute = one['GFLOP a sequence'] * size.batch / (1e3 * args.tflops)
    others = gpus - 1
    moved = 2 * others / gpus * (sent[GRADIENTS] + sent[STATISTICS]) + others * sent[KEYS]
    messages = 4 * others + others
    exchange = moved / (1e9 * args.bandwidth) + messages * 1e-6 * args.latency
    steps = max(1, math.floor(args.sequences / (gpus * size.batch)))
    held = one['bytes held a sequence'] * args.sequences / GIB
    memory = cfg.model.get('branch', cfg.model).memory.size
    base = cfg.get('auto_scale_lr', {}).get('base_batch_size', size.batch)
    together = min(gpus, args.processes_per_machine)
    return {'GPUs': gpus, 'batch': gpus * size.batch, 'steps an epoch': steps,
            'ms compute': 1e3 * compute, 'MB received': moved / 1e6, 'ms exchange': 1e3 * exchange,
            'efficiency': f'{compute / (compute + exchange):.0%}',
            'hours an epoch': steps * (compute + exchange) / HOUR,
            'MB/s read a GPU': one['bytes read a sequence'] * size.batch / (compute + exchange) / 1e6,
            'GiB held a machine, all read all': held * together,
            'GiB held a machine, divided': held * together / gpus,
            'steps that the memory spans': memory / (gpus * size.batch),
            'lr scaled': cfg.optim_wrapper.optimizer.lr * gpus * size.batch / base}
