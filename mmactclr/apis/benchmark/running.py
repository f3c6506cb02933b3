"""Measures one part and writes what came out."""
import argparse
import sys
from datetime import date
from pathlib import Path

import torch

from mmactclr.errors import ConfigError
from mmactclr.utils import write_json, write_text

from . import data, encoder, evaluation, scaling, step
from .measure import Table, describe_machine, find_device

PARTS = {'encoder': encoder, 'step': step, 'data': data, 'evaluation': evaluation, 'scaling': scaling}


def run_benchmark(args: argparse.Namespace) -> list[Table]:
    """Measure ``args.part``, print its tables and write them to ``args.out``.

    Raises:
        ConfigError: A number of threads or rounds is not positive, or the config is not one to pretrain with.
    """
    for name in ('threads', 'repeats'):
        if getattr(args, name) < 1:
            raise ConfigError(f'--{name} is {getattr(args, name)}, expected 1 or more')
    torch.set_num_threads(args.threads)
    machine = describe_machine(find_device(args.device))
    tables = PARTS[args.part].run(args)
    heading = f'`{" ".join(["benchmark.py", *sys.argv[1:]])}` on {", ".join(f"{k} {v}" for k, v in machine.items())}'
    text = '\n\n'.join([heading, *(table.markdown() for table in tables)])
    print(text)
    folder = Path(args.out)
    write_json(folder / f'{args.part}.json', dict(
        machine=machine, date=date.today().isoformat(), arguments=vars(args),
        tables=[dict(title=table.title, rows=[dict(row) for row in table.rows]) for table in tables]))
    print(f'\nwritten: {write_text(folder / f"{args.part}.md", text)} and {args.part}.json')
    return tables
