"""Run every downstream protocol on real recordings, from one checkpoint, and write one table.

A run that is finished is not repeated, and none is started after the time is up: give the same command again to go on.

Example:
    python benchmarks/protocols.py actclr.pth --sets utdmhad nwucla uiprmd --hours 2
"""
import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SPLITS = {'utdmhad': 'utdmhad_xsub', 'nwucla': 'nwucla_xview', 'uiprmd': 'uiprmd_xsub', 'synthetic': 'synthetic_xsub'}
# test parts beside the one of the config: on Northwestern-UCLA without the copies of training files
MORE_PARTS = {'nwucla': ('xview_clean',)}
# protocol and prefix of its configs
TESTED = {'knn': 'knn', 'retrieval': 'retrieval', 'fewshot': 'fewshot', 'transfer': 'checkpoint'}
# all recordings show one person, and what is trained through the encoder costs half without an empty second one
ONE_PERSON = ('max_persons=1',)


def schedule(epochs: int, milestone: int) -> tuple[str, ...]:
    """Options of a run of so many epochs, tested once at its end."""
    return (f'train_cfg.max_epochs={epochs}', f'train_cfg.val_interval={epochs}',
            f'param_scheduler.milestones=[{milestone}]')


# a share of the 300 epochs of the protocol: enough steps for the loss to settle
ALL_LABELS, SHARE, TWO = schedule(30, 24), schedule(100, 80), schedule(300, 250)
TWO_LABELS = ('label_subset.fraction=None', 'label_subset.per_class=2')
# (name, folder and prefix of the config, options)
TRAINED = (
    ('linear', 'linear/linear', ()),
    ('semi10', 'semi/semi10', (*ONE_PERSON, *SHARE)),
    ('finetune', 'finetune/finetune', (*ONE_PERSON, *ALL_LABELS)),
    ('scratch', 'finetune/finetune', (*ONE_PERSON, *ALL_LABELS, 'from_scratch=True')),
)
# learning rates of two labels a class: each way of starting has its own best one
RATES = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Run:
    """One command line and the folder it fills."""

    name: str
    command: tuple[str, ...]

    def is_done(self, folder: Path) -> bool:
        """Whether its numbers are there."""
        return (folder / self.name / 'metrics.json').is_file()


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='checkpoint with a model card')
    parser.add_argument('--sets', nargs='+', choices=SPLITS, default=['utdmhad', 'nwucla', 'uiprmd'],
                        help='data sets, each an archive at the data_root of its configs (default: all real ones)')
    parser.add_argument('--protocols', nargs='+', metavar='NAME',
                        choices=[*TESTED, *(name for name, _, _ in TRAINED), 'two_labels'],
                        help='only these (default: all)')
    parser.add_argument('--hours', type=float, default=8., help='start nothing after so long (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/protocols'),
                        help='folder for runs and table (default: %(default)s)')
    return parser.parse_args()


def runs_of(data: str, checkpoint: Path, folder: Path) -> Iterator[tuple[str, Run]]:
    """All runs of a data set with the protocols they belong to, cheap ones first."""
    split = SPLITS[data]
    for protocol, prefix in TESTED.items():
        config = f'configs/benchmarks/{protocol}/{prefix}_{split}.py'
        for part in ('', *MORE_PARTS.get(data, ())):
            options = ('--cfg-options', f'split={part}') if part else ()
            yield protocol, Run(_name(protocol, data, part), ('tools/test.py', config, str(checkpoint), *options))
    for protocol, prefix, options in TRAINED:
        config = f'configs/benchmarks/{prefix}_{split}.py'
        run = _training(_name(protocol, data), config, checkpoint, options)
        yield protocol, run
        for part in MORE_PARTS.get(data, ()):
            yield protocol, Run(_name(protocol, data, part), (
                'tools/test.py', config, _last_checkpoint(folder / run.name), '--cfg-options',
                f'init_from={checkpoint}', f'split={part}', *(ONE_PERSON if 'max_persons=1' in options else ())))
    if data == 'utdmhad':
        for rate in RATES:
            for start, scratch in (('pretrained', 'False'), ('scratch', 'True')):
                yield 'two_labels', _training(
                    f'two_labels_{start}_lr{rate}_{data}', f'configs/benchmarks/semi/semi10_{split}.py', checkpoint,
                    (*ONE_PERSON, *TWO, *TWO_LABELS, f'from_scratch={scratch}', f'optim_wrapper.optimizer.lr={rate}'))


def _name(protocol: str, data: str, part: str = '') -> str:
    return '_'.join(filter(None, (protocol, data, part.removeprefix('xview_'))))


def _training(name: str, config: str, checkpoint: Path, options: tuple[str, ...]) -> Run:
    # where all labels train the encoder, bf16 halves the time
    amp = ('--amp',) if set(ALL_LABELS) <= set(options) else ()
    return Run(name, ('tools/train.py', config, *amp, '--cfg-options', f'init_from={checkpoint}', *options))


def _last_checkpoint(folder: Path) -> str:
    """The file that the marker of a finished training names; a name for the message where there is none yet."""
    marker = folder / 'last_checkpoint'
    return marker.read_text().strip() if marker.is_file() else str(folder / 'last_checkpoint')


def main() -> None:
    """Run what is missing, then write the table."""
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    claim(args.work_dir, args.checkpoint)
    complete = run_missing(args)
    if any(args.work_dir.rglob('metrics.json')):
        from mmactclr.evaluation import as_markdown, choose_metrics, read_results
        table = as_markdown(choose_metrics(read_results([args.work_dir])))
        (args.work_dir / 'table.md').write_text(table + '\n')
        print('\n' + table)
    if not complete:
        sys.exit(1)


def claim(folder: Path, checkpoint: Path) -> None:
    """Note which checkpoint the results of a folder are of; refuse another one."""
    from mmactclr.datasets.archive_format import file_sha256
    from mmactclr.errors import ConfigError
    note, digest = folder / 'checkpoint.sha256', file_sha256(checkpoint)
    if note.is_file() and note.read_text().strip() != digest:
        raise ConfigError(f'{folder} holds results of another checkpoint than {checkpoint}; give another --work-dir')
    note.write_text(digest + '\n')


def run_missing(args: argparse.Namespace) -> bool:
    """Run what has no numbers yet; False if time was up before the last one, or one failed."""
    started = time.monotonic()
    # batches this small gain nothing from a second thread
    env = {'OMP_NUM_THREADS': '1', **os.environ}
    complete = True
    for data in args.sets:
        # made one after the other, as a later run tests what an earlier one trained
        for protocol, run in runs_of(data, args.checkpoint, args.work_dir):
            if (args.protocols and protocol not in args.protocols) or run.is_done(args.work_dir):
                continue
            if time.monotonic() - started > 3600 * args.hours:
                print('time is up; the same command goes on from here', flush=True)
                return False
            target = args.work_dir / run.name
            command = list(run.command)
            index = command.index('--cfg-options') if '--cfg-options' in command else len(command)
            command[index:index] = ['--work-dir', str(target)]
            print(f'{run.name}: python {" ".join(command)}', flush=True)
            start = time.monotonic()
            with (args.work_dir / f'{run.name}.log').open('w') as log:
                code = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, stdout=log, stderr=log).returncode
            complete &= code == 0
            print(f'{run.name}: {"done" if code == 0 else f"failed, see {run.name}.log"} in '
                  f'{time.monotonic() - start:.0f} s', flush=True)
    return complete


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
