"""How long the others live when one process of a run is killed, and that the run goes on afterwards.

Two processes train a tiny ActCLR on the CPU over gloo. Once a checkpoint is there one of them is killed with SIGKILL,
or stopped with SIGSTOP as a process that hangs, and the seconds are counted until none is left. Then the same command
runs again with --resume to the end. Once with torchrun (tools/dist_train.sh), which watches its processes, and with
processes that nobody watches, as srun without --kill-on-bad-exit.

Example:
    python benchmarks/killed_rank.py --out work_dirs/killed_rank
"""
import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_PORT = 29631
# of a hanging process: PeerWatchHook's patience, and room for its interval and a loaded machine
_LONGEST = 120


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/killed_rank'),
                        help='folder for the data, the runs and killed_rank.md (default: %(default)s)')
    return parser.parse_args()


def write_config(folder: Path) -> Path:
    """A config of enough tiny epochs to be killed in."""
    from mmactclr.datasets.converters.synthetic import SyntheticConverter
    from mmactclr.utils import load_config
    if not (folder / 'data').is_dir():
        SyntheticConverter().convert('-', folder / 'data', num_subjects=4, repeats=2)
    cfg = load_config('actclr_joint_synthetic_xsub', {
        'data_root': str((folder / 'data').resolve()), 'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None,
        'model.backbone.channels': [8, 16], 'model.backbone.strided_units': [1], 'model.projector.in_channels': 16,
        'model.projector.hidden_channels': 16, 'train_dataloader.batch_size': 8, 'train_cfg.max_epochs': 60,
        'model.stage_epochs': (30, 30), 'param_scheduler.T_max': 60, 'default_hooks.checkpoint.interval': 5})
    cfg.default_hooks.pop('actionlet_overlap', None)
    path = folder / 'config.py'
    cfg.dump(path)
    return path


def start(kind: str, config: Path, run: Path, *more: str) -> list[subprocess.Popen]:
    """Two processes, either under torchrun or on their own."""
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1',
                       CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    arguments = ['--work-dir', str(run), *more]
    log = (run.with_suffix('.log')).open('a')
    if kind == 'torchrun':
        command = ['bash', str(ROOT / 'tools' / 'dist_train.sh'), str(config), '2', *arguments]
        return [subprocess.Popen(command, env=environment, stdout=log, stderr=log)]
    return [subprocess.Popen(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), str(config), '--launcher', 'slurm', *arguments],
        env=dict(environment, SLURM_PROCID=str(rank), SLURM_NTASKS='2', SLURM_LOCALID=str(rank),
                 SLURM_NODELIST='localhost', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(_PORT)),
        stdout=log, stderr=log) for rank in range(2)]


def workers(processes: list[subprocess.Popen]) -> list[int]:
    """Process ids of the ranks, in order of their start."""
    if len(processes) > 1:
        return [process.pid for process in processes]
    task = Path(f'/proc/{processes[0].pid}/task/{processes[0].pid}/children')
    return [int(pid) for pid in task.read_text().split()]


def wait_for(condition, seconds: float) -> bool:
    """Whether something comes true in so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def case(kind: str, number: signal.Signals, victim: int, config: Path, out: Path) -> dict[str, object]:
    """Kill one rank; seconds until the others are gone, their exit codes, and the epoch of the resumed run."""
    run = out / f'{kind}-{number.name}-{victim}'
    processes = start(kind, config, run)
    if not wait_for(lambda: (run / 'epoch_5.pth').is_file(), 240):
        sys.exit(f'error: no checkpoint in {run} after 240 seconds, see {run.with_suffix(".log")}')
    pids = workers(processes)
    os.kill(pids[victim], number)
    begin = time.monotonic()
    others = [process for i, process in enumerate(processes) if len(processes) == 1 or i != victim]
    gone = wait_for(lambda: all(process.poll() is not None for process in others), _LONGEST)
    seconds = time.monotonic() - begin
    for process in processes:
        process.kill()
        process.wait()
    newest = sorted(run.glob('epoch_*.pth'), key=lambda path: path.stat().st_mtime)[-1]
    again = start(kind, config, run, '--resume')
    codes = [process.wait(timeout=600) for process in again]
    finished = (run / 'epoch_60.pth').is_file() and not any(codes)
    return dict(kind=kind, signal=number.name, rank=victim, seconds=seconds if gone else None,
                codes=[process.returncode for process in others], newest=newest.name, finished=finished)


def main() -> None:
    """All cases and a table; exit code 1 if a process hung or a run did not end after going on."""
    args = parse_args()
    from mmactclr.utils import write_text
    args.out.mkdir(parents=True, exist_ok=True)
    config = write_config(args.out)
    cases = [('torchrun', signal.SIGKILL, 1), ('unwatched', signal.SIGKILL, 1), ('unwatched', signal.SIGKILL, 0),
             ('unwatched', signal.SIGSTOP, 1)]
    rows = []
    for kind, number, victim in cases:
        rows.append(case(kind, number, victim, config, args.out))
        print(rows[-1], flush=True)
    titles = ['processes', 'signal to rank', 'seconds until the others are gone', 'exit code', 'goes on from',
              'to the end']
    lines = [f'| {" | ".join(titles)} |', '|---' * len(titles) + '|']
    for row in rows:
        seconds = '-' if row['seconds'] is None else f'{row["seconds"]:.1f}'
        cells = [row['kind'], f'{row["signal"]} to {row["rank"]}', seconds, ', '.join(map(str, row['codes'])),
                 f'`{row["newest"]}`', 'yes' if row['finished'] else 'no']
        lines.append(f'| {" | ".join(cells)} |')
    print(write_text(args.out / 'killed_rank.md', '\n'.join(lines)).read_text())
    if not all(row['finished'] and row['seconds'] is not None for row in rows):
        sys.exit('error: a process hung, or a run did not go on to its end')


if __name__ == '__main__':
    main()
