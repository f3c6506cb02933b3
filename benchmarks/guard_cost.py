"""What the guards cost in a training step.

Takes steps of one config on one batch, in turns with and without each guard in one process, so that whatever else the
machine does meets all of them; the median of the ratios of neighbours counts. CPU seconds of the process.

Example:
    python benchmarks/guard_cost.py --out work_dirs/guard_cost
"""
import argparse
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# torch reads it when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='actclr_joint_synthetic_xsub', help='config (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=60, help='steps of each kind (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/guard_cost'), help='folder for data and the run')
    return parser.parse_args()


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    from mmengine.hooks import Hook

    from mmactclr.apis import run_training
    from mmactclr.datasets.converters.synthetic import SyntheticConverter
    from mmactclr.engine import CollapseHook, NonFiniteHook
    from mmactclr.engine.data_watch import DataWatch
    from mmactclr.registry import HOOKS

    times: dict[str, list[float]] = {'step': [], 'guard': [], 'collapse': [], 'files': []}

    @HOOKS.register_module()
    class MeasureHook(Hook):
        """Takes steps by itself before the first one of the run."""

        def before_train_epoch(self, runner) -> None:
            """Measure and end the run."""
            method = runner.model
            batch = next(iter(runner.train_dataloader))
            guard = next(hook for hook in runner.hooks if isinstance(hook, NonFiniteHook))
            collapse = next(hook for hook in runner.hooks if isinstance(hook, CollapseHook))
            collapse.interval = 1
            watch = DataWatch([runner.train_dataloader.dataset])
            runner.model.train()

            def step(guarded: bool, number: int) -> float:
                method.set_progress(0, 0, number, 0)
                begin = time.process_time()
                if guarded:
                    guard.before_train_iter(runner, 0, batch)
                outputs = method.train_step(batch, runner.optim_wrapper)
                if guarded:
                    guard.after_train_iter(runner, 0, batch, outputs)
                seconds = time.process_time() - begin
                for branch in method.branches().values():
                    branch.memory.enqueue(branch.pending_keys)
                    branch.drop_step()
                return seconds

            def clock(function) -> float:
                begin = time.process_time()
                function()
                return time.process_time() - begin

            for number in range(2 * args.rounds + 10):
                # a turn without begins every second round, so that neither is always the first
                for guarded in ((False, True) if number % 2 else (True, False)):
                    if guarded and guard._guard is None:
                        guard.before_train(runner)
                    elif not guarded:
                        guard.after_train(runner)
                    seconds = step(guarded, 2 * number + guarded)
                    if number >= 10:
                        times['guard' if guarded else 'step'].append(seconds)
                if number >= 10:
                    times['collapse'].append(clock(lambda: collapse.after_train_iter(runner, 0, batch, {})))
                    times['files'].append(clock(watch.check))
            raise KeyboardInterrupt

    data = args.out / 'data'
    if not data.is_dir():
        SyntheticConverter().convert('-', data)
    from mmactclr.utils import load_config
    cfg = load_config(args.config, {'data_root': str(data), 'val_cfg': None, 'val_dataloader': None,
                                    'val_evaluator': None})
    cfg.default_hooks.pop('actionlet_overlap', None)
    cfg.custom_hooks.append(dict(type='MeasureHook'))
    try:
        run_training(cfg, args.out / 'run')
    except KeyboardInterrupt:
        pass
    middle = {name: statistics.median(values) for name, values in times.items()}
    ratio = statistics.median(a / b for a, b in zip(times['guard'], times['step'], strict=True))
    print(f'a step                          {1000 * middle["step"]:8.2f} ms')
    print(f'with the check of NonFiniteHook {1000 * middle["guard"]:8.2f} ms, {100 * (ratio - 1):+.1f} %')
    for name, title in (('collapse', 'a measurement of CollapseHook'), ('files', 'a look at the files')):
        print(f'{title:31} {1000 * middle[name]:8.2f} ms, {100 * middle[name] / middle["step"]:.1f} % of a step')


if __name__ == '__main__':
    main()
