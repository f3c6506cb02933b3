"""Pretrain every backbone with ActCLR on UTD-MHAD for the same number of steps, and write one table.

All have the short recipe of configs/actclr/actclr_joint_utdmhad_xsub.py: the same widths (16, 32, 64 and 96 channels),
strides, batch, views, steps and precision (bf16). Parameters and arithmetic are those of the encoder; arithmetic and
sequences a second are measured on one thread by the time that the thread computes. A run is a JSON line of the results;
one that has its line is not run again, and none is started after the time is up: give the same command again to go on.

Example:
    python benchmarks/backbones.py --epochs 30
    python benchmarks/backbones.py --table
    python benchmarks/backbones.py --costs --data ntu60_xsub
"""
import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

# read when numpy and torch are imported, also by the runs
os.environ.setdefault('OMP_NUM_THREADS', '1')

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import call  # noqa: E402

from mmactclr.models import MoCo  # noqa: E402
from mmactclr.registry import MODELS  # noqa: E402
from mmactclr.utils import load_config  # noqa: E402

BACKBONES = {
    'ST-GCN': 'actclr/actclr_joint', 'ST-GCN++': 'backbones/actclr-stgcnpp_joint',
    'CTR-GCN': 'backbones/actclr-ctrgcn_joint', 'AGCN': 'backbones/actclr-agcn_joint',
    'BiGRU': 'backbones/actclr-bigru_joint', 'SkeletonTransformer': 'backbones/actclr-transformer_joint'}
NUMBERS = {'knn/backbone_k1': '1-NN', 'knn/backbone_k20': 'kNN (k 20)', 'linear/backbone_top1': 'linear'}
BATCH, REPEATS = 32, 5


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--backbones', nargs='+', choices=BACKBONES, default=list(BACKBONES), metavar='NAME',
                        help=f'of {", ".join(BACKBONES)} (default: all)')
    parser.add_argument('--epochs', type=int, default=30, help='a third of them in stage two (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='one run each (default: 0)')
    parser.add_argument('--data', default='utdmhad_xsub', help='ending of the configs (default: %(default)s)')
    parser.add_argument('--hours', type=float, default=2., help='start nothing after so long (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/backbones'),
                        help='folder for runs (default: %(default)s)')
    parser.add_argument('--results', type=Path, default=ROOT / 'benchmarks' / 'results' / 'backbones.jsonl',
                        help='file of a JSON line a run (default: benchmarks/results/backbones.jsonl)')
    parser.add_argument('--table', action='store_true', help='run nothing, print the table of what is there')
    parser.add_argument('--costs', action='store_true', help='train nothing, print what each encoder costs')
    return parser.parse_args()


def run(name: str, seed: int, args: argparse.Namespace) -> bool:
    """Measure, train and test one backbone; its line is in the results afterwards."""
    config = f'configs/{BACKBONES[name]}_{args.data}.py'
    folder = (args.out / f'{name}_{args.epochs}_{seed}').resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(f'{name}, seed {seed}: {args.epochs} epochs', flush=True)
    encoder = measure(config)
    second = args.epochs // 3
    used = call(['tools/train.py', config, '--amp', '--work-dir', str(folder), '--cfg-options',
                 f'train_cfg.max_epochs={args.epochs}', f'train_cfg.val_interval={args.epochs}',
                 f'param_scheduler.T_max={args.epochs}', f'model.stage_epochs=[{args.epochs - second},{second}]',
                 f'randomness.seed={seed}'], folder / 'train.log')
    if used is None or call(['tools/test.py', config, str(folder / f'epoch_{args.epochs}.pth'), '--work-dir',
                             str(folder)], folder / 'test.log') is None:
        print(f'{name}: failed, see {folder}', flush=True)
        return False
    metrics = json.loads((folder / 'metrics.json').read_text())['test']['metrics']
    kept = {f'{kind}{metric}': metrics[f'{kind}{metric}'] for metric in NUMBERS
            for kind in ('', 'untrained_encoder/', 'prepared_coordinates/')}
    line = dict(backbone=name, epochs=args.epochs, seed=seed, data=args.data, **encoder, seconds=round(used[0], 1),
                memory=round(used[1]), torch=torch.__version__, metrics=kept)
    args.results.parent.mkdir(parents=True, exist_ok=True)
    with args.results.open('a') as file:
        file.write(json.dumps(line) + '\n')
    print(f'{name}: {used[0]:.0f} s', flush=True)
    return True


def measure(config: str) -> dict[str, Any]:
    """Parameters, arithmetic of a sequence, and sequences a second in training and eval mode of an encoder."""
    cfg = load_config(ROOT / config)
    torch.manual_seed(0)
    model: MoCo = MODELS.build(cfg.model)
    encoder = model.backbone
    x = torch.randn(BATCH, 3, cfg.num_frames, model.layout.num_joints)
    return dict(parameters=sum(p.numel() for p in encoder.parameters()),
                mflops=count_flops(encoder.eval(), x[:1]) / 1e6,
                train_per_s=rate(encoder.train(), x), eval_per_s=rate(encoder.eval(), x))


def count_flops(encoder: nn.Module, x: Tensor) -> int:
    """Multiplications and additions of matrix products and convolutions in a forward pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(x)
    return counter.get_total_flops()


def rate(encoder: nn.Module, x: Tensor) -> float:
    """Rows a second: forward, and backward in training mode, in bf16; the median of some passes after a first."""
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.process_time()
        with torch.set_grad_enabled(encoder.training), torch.autocast('cpu', torch.bfloat16):
            out = encoder(x)
        if encoder.training:
            out.float().square().mean().backward()
        seconds.append(time.process_time() - start)
    return len(x) / statistics.median(seconds[1:])


def costs(args: argparse.Namespace) -> str:
    """What the encoder of each config costs, a row each; sequences have one person."""
    rows = ['| | parameters | MFLOPs a sequence | sequences/s, training | sequences/s, eval |', '|---|---|---|---|---|']
    for name in args.backbones:
        found = measure(f'configs/{BACKBONES[name]}_{args.data}.py')
        rows.append(f'| {name} | {found["parameters"]:,} | {found["mflops"]:.1f} | {found["train_per_s"]:.0f} | '
                    f'{found["eval_per_s"]:.0f} |')
    return '\n'.join(rows)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines that there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def table(lines: list[dict[str, Any]]) -> str:
    """Rows in the order of BACKBONES: a mean over seeds, of each number of epochs."""
    head = ['', *NUMBERS.values(), 'untrained: kNN, linear', 'epochs', 'seeds', 'parameters', 'MFLOPs a sequence',
            'sequences/s, training', 'sequences/s, eval', 's in all', 'MiB']
    rows = [head, ['---'] * len(head)]

    def mean(group: list[dict[str, Any]], metric: str) -> str:
        values = [line['metrics'][metric] for line in group]
        spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
        return f'{statistics.mean(values):.1f}{spread}'

    def middle(group: list[dict[str, Any]], field: str) -> str:
        return f'{statistics.median(line[field] for line in group):.0f}'

    for epochs in sorted({line['epochs'] for line in lines}):
        for name in BACKBONES:
            group = [line for line in lines if line['backbone'] == name and line['epochs'] == epochs]
            if not group:
                continue
            untrained = ', '.join(mean(group, f'untrained_encoder/{metric}') for metric in list(NUMBERS)[1:])
            rows.append([name, *(mean(group, metric) for metric in NUMBERS), untrained, str(epochs), str(len(group)),
                         f'{group[0]["parameters"]:,}', f'{group[0]["mflops"]:.1f}',
                         *(middle(group, field) for field in ('train_per_s', 'eval_per_s', 'seconds', 'memory'))])
    if lines:
        raw = [f'{lines[0]["metrics"][f"prepared_coordinates/{metric}"]:.1f}' for metric in NUMBERS]
        rows.append(['raw coordinates, prepared', *raw, *[''] * (len(head) - 1 - len(raw))])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def main() -> None:
    """Run what is missing, then print the table."""
    args = parse_args()
    if args.costs:
        print(costs(args))
        return
    start, failed = time.monotonic(), 0
    for seed in args.seeds if not args.table else ():
        for name in args.backbones:
            done = {(line['backbone'], line['epochs'], line['seed'], line['data']) for line in read(args.results)}
            if (name, args.epochs, seed, args.data) in done:
                continue
            if time.monotonic() - start > 3600 * args.hours:
                print('time is up; the same command goes on from here', flush=True)
                break
            failed += not run(name, seed, args)
    print('\n' + table(read(args.results)))
    if failed:
        sys.exit(1)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
