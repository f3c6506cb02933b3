"""Kill training with SIGKILL again and again, go on with --resume, and compare the end with a run that was left alone.

For each method a short run on the built-in motion set trains once without interruption. Then it trains again and is
killed --kills times at random moments spread over all of it: in steps, in validations, around the switch of stages,
before anything new was written, and, about every third time, while a checkpoint is being written. Whatever was left
is gone on from with tools/train.py CONFIG --resume. At the end weights, memory, pointer, optimiser, schedule, log
histories and metrics.json have to be the same to the last bit.

One process at a time, on the CPU. Every kill is a line of OUT/METHOD/kills.jsonl, every method a row of OUT/table.md.
What is done is not done again: give the same command again to go on.

Example:
    python benchmarks/kill_and_resume.py
    python benchmarks/kill_and_resume.py --methods actclr --kills 100 --seed 1 --out work_dirs/kills_100
"""
import argparse
import json
import os
import random
import re
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# without these two runs without any interruption are not the same to the last bit
ARITHMETIC = {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'MKL_CBWR': 'COMPATIBLE', 'CUDA_VISIBLE_DEVICES': ''}
METHODS = {'moco': 'moco_joint', 'actclr': 'actclr_joint', 'actclr 3s': 'actclr_3s'}
# seconds that a life may take, far more than it does
LIFE = 300
# when to kill, and how often: at any time after a life has written a checkpoint, before it has, or while it is writing
STYLES = {'any': 4, 'early': 2, 'writing': 3}
# log histories of what the clock and the machine say
CLOCK = ('time', 'data_time', 'memory')


@dataclass
class Life:
    """A process that trains.

    Attributes:
        pid: Its number.
        log: What it says.
    """

    pid: int
    log: Path

    def ended(self) -> int | None:
        """Exit code, None while it runs; negative after a signal."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    def wait(self) -> int:
        """Exit code, when it has ended."""
        end = time.monotonic() + LIFE
        while time.monotonic() < end:
            code = self.ended()
            if code is not None:
                return code
            time.sleep(0.05)
        self.kill()
        raise SystemExit(f'error: a run did not end within {LIFE} s, see {self.log}')

    def kill(self) -> None:
        """End it without a chance to do anything."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def resumed_at(self) -> tuple[int, int, bool]:
        """Epochs and steps that it went on from, and whether a validation was made up for."""
        text = self.log.read_text()
        found = re.search(r'resumed epoch: (\d+), iter: (\d+)', text)
        return (int(found[1]), int(found[2]), 'is made up for' in text) if found else (0, 0, False)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS), metavar='NAME',
                        help=f'of {", ".join(METHODS)} (default: all)')
    parser.add_argument('--kills', type=int, default=20, help='kills of each method (default: %(default)s)')
    parser.add_argument('--epochs', type=int, default=24,
                        help='epochs, half of them in each stage; more kills need more (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the moments (default: %(default)s)')
    parser.add_argument('--subjects', type=int, default=12,
                        help='people in the built-in set: more of them make longer epochs (default: %(default)s)')
    parser.add_argument('--minutes', type=float, default=60., help='start nothing after so long (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/kill_and_resume'),
                        help='folder for data, runs and table.md (default: %(default)s)')
    args = parser.parse_args()
    if args.kills < 1 or args.subjects < 4 or args.epochs < 4 or args.epochs % 2:
        parser.error('expected --kills 1 or more, --subjects 4 or more and an even number of --epochs from 4 up')
    return args


def command(method: str, args: argparse.Namespace, folder: Path) -> list[str]:
    """Arguments of tools/train.py."""
    branch = 'model.branch' if method.endswith('3s') else 'model'
    options = {
        'data_root': args.out / 'data', 'num_frames': 16, 'train_dataloader.batch_size': 16,
        f'{branch}.backbone.channels': '[4,8]', f'{branch}.backbone.strided_units': '[1]',
        f'{branch}.backbone.dropout': 0.5, f'{branch}.projector.in_channels': 8,
        f'{branch}.projector.hidden_channels': 8, f'{branch}.projector.out_channels': 4,
        f'{branch}.memory.dim': 4, f'{branch}.memory.size': 40, 'train_cfg.max_epochs': args.epochs,
        'train_cfg.val_interval': 4, 'param_scheduler.T_max': args.epochs, 'default_hooks.checkpoint.interval': 2,
        # a checkpoint about every quarter of a second: some steps are lost at every kill
        'default_hooks.checkpoint.minutes': 0.004, 'default_hooks.checkpoint.save_best': 'knn/backbone_k20',
        'default_hooks.logger.interval': 1}
    if method != 'moco':
        options[f'{branch}.stage_epochs'] = f'[{args.epochs // 2},{args.epochs // 2}]'
    return [f'{METHODS[method]}_synthetic_xsub', '--work-dir', str(folder), '--resume',
            '--cfg-options', *(f'{name}={value}' for name, value in options.items())]


def start(arguments: list[str], log: Path) -> Life:
    """Start tools/train.py as a process of its own that has what this one imported."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    pid = os.fork()
    if pid:
        return Life(pid, log)
    code = 1
    try:
        with log.open('w') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ['train.py', *arguments]
        runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def last_of(folder: Path) -> dict[str, Any]:
    """The last checkpoint of a run that ended."""
    from mmactclr.engine.checkpoints import read_checkpoint
    return read_checkpoint((folder / 'last_checkpoint').read_text().strip())


def progress(folder: Path, steps: int) -> int:
    """Steps that the files of a run stand for."""
    found = [(match[1], int(match[2])) for match in
             (re.fullmatch(r'(epoch|iter)_(\d+)\.pth', path.name) for path in folder.glob('*.pth')) if match]
    return max([number * steps if kind == 'epoch' else number for kind, number in found], default=0)


def half_written(folder: Path) -> list[str]:
    """Names of what is being written, or was when its process was killed."""
    return [entry.name for entry in os.scandir(folder) if '.partial-' in entry.name] if folder.is_dir() else []


def kill_at(life: Life, folder: Path, target: int, steps: int, style: str, delay: float) -> dict[str, Any] | None:
    """Kill a run some time after it has done ``target`` steps; None if it came to its end."""
    end, reached = time.monotonic() + LIFE, None
    sign = 'Epoch(train)' if style == 'early' else 'is written'
    while time.monotonic() < end:
        if life.ended() is not None:
            return None
        now = time.monotonic()
        if reached is None and progress(folder, steps) >= target and sign in life.log.read_text():
            reached = now
        if reached is not None and (half_written(folder) if style == 'writing' else now - reached >= delay):
            life.kill()
            return {'done': progress(folder, steps), 'half_written': half_written(folder)}
        time.sleep(0 if style == 'writing' and reached is not None else 0.005)
    life.kill()
    raise SystemExit(f'error: a run took more than {LIFE} s, see {life.log}')


def train_and_kill(method: str, args: argparse.Namespace, deadline: float) -> bool:
    """Do what is missing of a method; returns whether all of it is done."""
    folder = args.out / method
    straight, killed = folder / 'straight', folder / 'killed'
    if not (folder / 'straight.done').is_file():
        code = start(command(method, args, straight), folder / 'straight.log').wait()
        if code:
            raise SystemExit(f'error: the uninterrupted run of {method} ended with code {code}, see '
                             f'{folder / "straight.log"}')
        (folder / 'straight.done').touch()
    steps = last_of(straight)['position']['share']['steps']
    rng = random.Random(f'{method}/{args.seed}')
    # the delay leads into the last epoch
    targets = sorted(rng.randrange((args.epochs - 1) * steps) for _ in range(args.kills))
    moments = [(target, *rng.choices(list(STYLES), list(STYLES.values())), rng.uniform(0, 0.2)) for target in targets]
    lines = folder / 'kills.jsonl'
    done = len(lines.read_text().splitlines()) if lines.is_file() else 0
    for number, (target, style, delay) in enumerate(moments[done:], done):
        if time.monotonic() > deadline:
            return False
        life = start(command(method, args, killed), folder / f'life_{number}.log')
        found = kill_at(life, killed, target, steps, style, delay)
        if found is None:
            raise SystemExit(f'error: {method} ended before kill {number}, see {life.log}; take more --epochs')
        epoch, step, validation = life.resumed_at()
        with lines.open('a') as file:
            file.write(json.dumps({'kill': number, 'target': target, 'style': style, 'resumed_epoch': epoch,
                                   'resumed_step': step, 'resumed_in_validation': validation, **found}) + '\n')
    life = start(command(method, args, killed), folder / 'last.log')
    code = life.wait()
    if code:
        raise SystemExit(f'error: {method} ended with code {code} after its kills, see {life.log}')
    epoch, step, validation = life.resumed_at()
    result = {'method': method, 'steps': args.epochs * steps, 'steps_of_an_epoch': steps, 'seed': args.seed,
              'last_resumed_step': step, 'last_resumed_in_validation': validation,
              'differences': list(compare(straight, killed)), **compared(straight)}
    (folder / 'result.json').write_text(json.dumps(result, indent=2))
    return True


def compare(straight: Path, killed: Path) -> Iterator[str]:
    """Everything that differs at the end of two runs, by name."""
    one, two = (_outcome(folder) for folder in (straight, killed))
    for name in sorted(one.keys() ^ two.keys()):
        yield f'{name} is in one run only'
    for name in sorted(one.keys() & two.keys()):
        if not _same(one[name], two[name]):
            yield name


def compared(folder: Path) -> dict[str, int]:
    """How much there was to compare."""
    counts = Counter(name.split('/')[0] for name in _outcome(folder))
    return {f'compared_{name.replace(".", "_")}': count for name, count in sorted(counts.items())}


def _outcome(folder: Path) -> dict[str, Any]:
    """Leaves of the last and the best checkpoint and of metrics.json by name."""
    from mmactclr.engine.checkpoints import read_checkpoint
    last = last_of(folder)
    hub = last['message_hub']
    scalars = {name: value for name, value in hub['log_scalars'].items() if name.split('/')[-1] not in CLOCK}
    best, = folder.glob('best_*.pth')
    return dict(_leaves({
        'weights': last['state_dict'], 'optimizer': last['optimizer'], 'schedule': last['param_schedulers'],
        'histories': scalars, 'random': last['position']['random'],
        'best': {'name': best.name, 'score': hub['runtime_info']['best_score'], **read_checkpoint(best)['state_dict']},
        'metrics.json': json.loads((folder / 'metrics.json').read_text())}))


def _leaves(value: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f'{name}/{key}' if name else str(key))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f'{name}/{number}')
    else:
        yield name, value


def _same(one: Any, two: Any) -> bool:
    import torch
    if torch.is_tensor(one) and torch.is_tensor(two):
        return one.dtype == two.dtype and one.shape == two.shape \
            and one.contiguous().view(-1).numpy().tobytes() == two.contiguous().view(-1).numpy().tobytes()
    return type(one) is type(two) and one == two


def table(out: Path) -> str:
    """A row for every method that is done."""
    lines = ['| method | steps | kills | in stage one / two | while writing | in a validation | went on inside an '
             'epoch | steps done twice | compared tensors and values | different |', '|---|' + '---|' * 9]
    for method in METHODS:
        folder = out / method
        if not (folder / 'result.json').is_file():
            continue
        result = json.loads((folder / 'result.json').read_text())
        kills = [json.loads(line) for line in (folder / 'kills.jsonl').read_text().splitlines()]
        steps = result['steps_of_an_epoch']
        # where the next life went on is where a kill had left the run
        ends = [*((kill['resumed_step'], kill['resumed_in_validation']) for kill in kills[1:]),
                (result['last_resumed_step'], result['last_resumed_in_validation'])]
        repeated = sum(count_steps(folder / f'life_{kill["kill"]}.log') for kill in kills) \
            + count_steps(folder / 'last.log') - result['steps']
        two = sum(step >= result['steps'] // 2 for step, _ in ends)
        stages = '-' if method == 'moco' else f'{len(ends) - two} / {two}'
        lines.append(
            f'| {method} | {result["steps"]} | {len(kills)} | {stages} '
            f'| {sum(bool(kill["half_written"]) for kill in kills)} | {sum(validation for _, validation in ends)} '
            f'| {sum(step % steps > 0 for step, _ in ends)} | {repeated} '
            f'| {sum(value for name, value in result.items() if name.startswith("compared_"))} '
            f'| {len(result["differences"])} |')
    return '\n'.join(lines)


def count_steps(log: Path) -> int:
    """Steps that a process logged."""
    return len(re.findall(r'Epoch\(train\)', log.read_text()))


def main() -> None:
    """Do what is missing, write the table; exit code 1 if anything differs."""
    args = parse_args()
    if any(os.environ.get(name) != value for name, value in ARITHMETIC.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ARITHMETIC})
    args.out = args.out.resolve()
    deadline = time.monotonic() + 60 * args.minutes
    import mmengine.config.config

    import mmactclr.apis  # noqa: F401 every process that is forked has it
    # the layout of configs that are printed and saved would take longer than all of the training
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)
    from mmactclr.registry import CONVERTERS
    if not (args.out / 'data').is_dir():
        CONVERTERS.build(dict(type='synthetic')).convert('-', args.out / 'data', num_subjects=args.subjects,
                                                         repeats=1, num_cameras=2)
    complete = True
    for method in args.methods:
        if not (args.out / method / 'result.json').is_file():
            begun = time.monotonic()
            complete &= train_and_kill(method, args, deadline)
            print(f'{method}: {time.monotonic() - begun:.0f} s', flush=True)
    text = table(args.out)
    (args.out / 'table.md').write_text(text + '\n')
    print(f'\n{text}')
    if not complete:
        print('\ntime is up; the same command goes on from here')
    results = [args.out / method / 'result.json' for method in args.methods]
    different = {path.parent.name: json.loads(path.read_text())['differences'] for path in results if path.is_file()}
    for method, names in different.items():
        if names:
            print(f'{method} differs in {len(names)}: {", ".join(names[:20])}')
    sys.exit(any(different.values()))


if __name__ == '__main__':
    main()
