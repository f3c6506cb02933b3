"""Pretrain every method on UTD-MHAD for the same number of steps, or the same time, and write one table.

All have the short recipe: encoder, memory, batch and weak views are the same; temperature, projector and number of
views are those of the method. A method that is done is not run again, and none is started after the time is up: give
the same command again to go on.

Example:
    python benchmarks/methods.py --epochs 75
    python benchmarks/methods.py --seconds 165 --out work_dirs/methods_seconds
"""
import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import call  # noqa: E402

RESULTS = 'result.json'
# epochs of the short run that tells what an epoch costs: every stage of a method has at least one
PROBE = 3


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        config: Config that is trained.
        passes: Sequences encoded for each sequence of a step: with gradient + without.
        stages: Options for a number of epochs, as functions of it.
    """

    config: str
    passes: str
    stages: tuple[str, ...] = ()


# a half or two thirds of the epochs come before the second stage, as the papers have it; three quarters before AimCLR
# mines, as the neighbours that it would find in so few epochs are mostly of other classes
METHODS = {
    'SkeletonCLR': Method('skeletonclr/skeletonclr_joint', '1 + 1'),
    'ActCLR': Method('actclr/actclr_joint', '1 + 2 (mask, key) + anchor',
                     ('model.stage_epochs=[{two_thirds},{third}]',)),
    'AimCLR': Method('aimclr/aimclr_joint', '2 + 1', ('model.mining_epoch={three_quarters}',)),
    'SkeleMixCLR': Method('skelemixclr/skelemixclr_joint', '2 + 1'),
    'SkeleMixCLR+': Method('skelemixclr_plus/skelemixclr-plus_joint', '4 + 1'),
    '3s-SkeletonCLR': Method('skeletonclr/skeletonclr_3s', '3 + 3'),
    '3s-CrosSCLR': Method('crosclr/crosclr_3s', '3 + 3', ('model.cross_epoch={half}',)),
    '3s-CMD loss': Method('cmd/cmd_3s', '3 + 3'),
}
NUMBERS = {'knn/backbone_k1': '1-NN', 'knn/backbone_k20': 'kNN (k 20)', 'linear/backbone_top1': 'linear'}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS), metavar='NAME',
                        help=f'of {", ".join(METHODS)} (default: all)')
    parser.add_argument('--epochs', type=int, default=75, help='epochs of every method (default: %(default)s)')
    parser.add_argument('--seconds', type=float,
                        help='instead of --epochs: as many as a method ends in so long, its last validation included')
    parser.add_argument('--data', default='utdmhad_xsub',
                        help='ending of configs with the short recipe (default: %(default)s)')
    parser.add_argument('--hours', type=float, default=2., help='start nothing after so long (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/methods'),
                        help='folder for runs and table.md (default: %(default)s)')
    return parser.parse_args()


def run(name: str, args: argparse.Namespace) -> bool:
    """Train and test one method; its numbers are in its folder afterwards."""
    folder = (args.out / name).resolve()
    epochs = args.epochs if args.seconds is None else affordable(name, args.seconds, args.data, folder / 'probe')
    print(f'{name}: {epochs} epochs', flush=True)
    start = time.monotonic()
    measured = epochs and train(name, epochs, args.data, folder)
    if not measured or call(['tools/test.py', config_of(name, args.data), str(folder / f'epoch_{epochs}.pth'),
                             '--work-dir', str(folder)], folder / 'test.log') is None:
        print(f'{name}: failed, see {folder}', flush=True)
        return False
    metrics = json.loads((folder / 'metrics.json').read_text())['test']['metrics']
    (folder / RESULTS).write_text(json.dumps(dict(metrics=metrics, epochs=epochs, **measured)))
    print(f'{name}: {time.monotonic() - start:.0f} s', flush=True)
    return True


def config_of(name: str, data: str) -> str:
    """Config of a method for a data set."""
    return f'configs/{METHODS[name].config}_{data}.py'


def train(name: str, epochs: int, data: str, folder: Path) -> dict[str, float] | None:
    """Seconds in all and of a step, steps, and peak memory in MiB of a run; None if it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    third = epochs // 3
    stages = [option.format(half=epochs // 2, third=third, two_thirds=epochs - third,
                            three_quarters=epochs * 3 // 4)
              for option in METHODS[name].stages]
    used = call(['tools/train.py', config_of(name, data), '--work-dir', str(folder), '--cfg-options',
                 f'train_cfg.max_epochs={epochs}', f'train_cfg.val_interval={epochs}',
                 f'param_scheduler.T_max={epochs}', *stages], folder / 'train.log')
    if used is None:
        return None
    steps = [json.loads(line) for file in folder.glob('*/vis_data/scalars.json')
             for line in file.read_text().splitlines() if '"time"' in line and '"loss"' in line]
    # a step as the log has it, by the clock on the wall, which other jobs of the machine slow down
    slowed = used[2] / used[0]
    return dict(seconds=used[0], memory=used[1], steps=max(entry['step'] for entry in steps),
                step=sum(entry['time'] for entry in steps) / len(steps) / slowed)


def affordable(name: str, seconds: float, data: str, folder: Path) -> int:
    """Epochs that end within a time, from what a few of them cost; 0 if those failed."""
    probe = train(name, PROBE, data, folder)
    if probe is None:
        return 0
    training = probe['step'] * probe['steps']
    return max(PROBE, int((seconds - (probe['seconds'] - training)) * PROBE / training))


def table(folder: Path) -> str:
    """The rows of all methods that are done, and of what they have to beat."""
    found = {name: json.loads((folder / name / RESULTS).read_text()) for name in METHODS
             if (folder / name / RESULTS).is_file()}
    lines = [f'| | {" | ".join(NUMBERS.values())} | epochs | passes of a step | s a step | s in all | MiB |',
             '|---|' + '---|' * (len(NUMBERS) + 5)]
    for name, result in found.items():
        cells = [f'{result["metrics"][metric]:.1f}' for metric in NUMBERS]
        lines.append(f'| {name} | {" | ".join(cells)} | {result["epochs"]} | {METHODS[name].passes} | '
                     f'{result["step"]:.2f} | {result["seconds"]:.0f} | {result["memory"]:.0f} |')
        # the encoder of this run before it was trained
        cells = [f'{result["metrics"][f"untrained_encoder/{metric}"]:.1f}' for metric in NUMBERS]
        lines.append(f'| its untrained encoder | {" | ".join(cells)} | | | | | |')
    if found:
        metrics = next(iter(found.values()))['metrics']
        cells = [f'{metrics[f"prepared_coordinates/{metric}"]:.1f}' for metric in NUMBERS]
        lines.append(f'| raw coordinates, prepared | {" | ".join(cells)} | | | | | |')
    return '\n'.join(lines)


def main() -> None:
    """Run what is missing, then write the table."""
    args = parse_args()
    start, failed = time.monotonic(), 0
    for name in args.methods:
        folder = (args.out / name).resolve()
        if (folder / RESULTS).is_file():
            continue
        if time.monotonic() - start > 3600 * args.hours:
            print('time is up; the same command goes on from here', flush=True)
            break
        failed += not run(name, args)
    args.out.mkdir(parents=True, exist_ok=True)
    text = table(args.out)
    (args.out / 'table.md').write_text(text + '\n')
    print('\n' + text)
    if failed:
        sys.exit(1)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
