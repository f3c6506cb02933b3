"""How much faster a linear probe trains on features that are extracted once than by encoding at every epoch.

The same config, seed and data either way, in turns in one process: 100 epochs on cached features, extraction included,
and two epochs that encode, scaled to 100. Losses of the epochs that both have are compared step by step.

Example:
    python benchmarks/cached_probe.py actclr.pth --set utdmhad_xsub
"""
import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# torch reads it when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint with a model card')
    parser.add_argument('--set', default='utdmhad_xsub', help='ending of the name of the linear config (default: '
                                                              '%(default)s)')
    parser.add_argument('--epochs', type=int, default=100, help='epochs of the probe (default: %(default)s)')
    parser.add_argument('--encoded-epochs', type=int, default=2, help='of them encoded (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3, help='repetitions, of which the median counts')
    return parser.parse_args()


def main() -> None:
    """Measure and print the ratio and how far the losses lie apart."""
    args = parse_args()
    from mmengine.hooks import Hook

    from mmactclr.apis import run_training
    from mmactclr.registry import HOOKS

    @HOOKS.register_module()
    class TimeTraining(Hook):
        """Time from before the first thing a run does in training to after the last."""

        priority = 'HIGHEST'
        seconds = 0.

        def before_train(self, runner) -> None:
            TimeTraining.seconds = -time.perf_counter()

        def after_train(self, runner) -> None:
            TimeTraining.seconds += time.perf_counter()

    init = dict(type='EncoderInitHook', init_from=args.checkpoint, from_scratch=False)

    def train(kind: str, epochs: int, hooks: list[dict], folder: str) -> tuple[float, list[float]]:
        runner = run_training(f'benchmarks/linear/linear_{args.set}.py', Path(folder), options={
            'init_from': args.checkpoint, 'train_cfg.max_epochs': epochs, 'val_cfg': None, 'val_dataloader': None,
            'val_evaluator': None, 'custom_hooks': [dict(type='TimeTraining'), init, *hooks], 'log_level': 'WARNING',
            'experiment_name': f'{kind}_{time.monotonic_ns()}'})
        return TimeTraining.seconds, runner.message_hub.get_scalar('train/loss').data[0].tolist()

    cached, encoded, apart = [], [], 0.
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds, losses = train('cached', args.epochs, [dict(type='FeatureCacheHook')], folder)
            cached.append(seconds)
        with tempfile.TemporaryDirectory() as folder:
            seconds, plain = train('encoded', args.encoded_epochs, [], folder)
            encoded.append(seconds * args.epochs / args.encoded_epochs)
        apart = max(apart, *(abs(a - b) for a, b in zip(losses, plain, strict=False)))
    fast, slow = statistics.median(cached), statistics.median(encoded)
    print(f'{args.epochs} epochs on cached features, extraction included: {fast:.1f} s; encoding at every epoch: '
          f'{slow:.0f} s (from {args.encoded_epochs} epochs); ratio {slow / fast:.0f}; losses at most {apart:.1e} '
          'apart')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
