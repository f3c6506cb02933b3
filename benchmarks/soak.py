"""Whether a long run keeps its memory, its open files and its pace.

Trains ActCLR at a tiny size on a built-in set for as many steps as asked, a fifth of them in stage one, with a log line
every epoch and a checkpoint every ten. Every ten steps a hook reads resident memory, open file handles and CPU seconds
of the process and of its children, without any package. Warm-up is the first quarter; then the medians of the second
and the last quarter are compared. CPU seconds are compared, not time, so that other jobs beside do not count.

Example:
    python benchmarks/soak.py --steps 2000 --out work_dirs/soak
"""
import argparse
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# torch reads it when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')

_EVERY = 10
_TICKS = os.sysconf('SC_CLK_TCK')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--steps', type=int, default=2000, help='steps to take (default: %(default)s)')
    parser.add_argument('--num-workers', type=int, default=0, help='loader processes (default: %(default)s)')
    parser.add_argument('--config', default='actclr_joint_synthetic_xsub', help='config (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/soak'),
                        help='folder for the data, the run, soak.json and soak.md (default: %(default)s)')
    return parser.parse_args()


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for child in Path(f'/proc/{pid}/task').glob('*/children'):
        found += [inner for text in child.read_text().split() for inner in descendants(int(text))]
    return found


def read_usage() -> dict[str, float]:
    """Resident memory in MiB (of the process, its own pages alone, and of its children), handles and CPU seconds."""
    usage = dict(rss=0.0, anonymous=0.0, children_rss=0.0, children=0, handles=0, cpu=0.0)
    for pid in descendants(os.getpid()):
        try:
            status = dict(line.split(':', 1) for line in Path(f'/proc/{pid}/status').read_text().splitlines())
            stat = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
            handles = len(os.listdir(f'/proc/{pid}/fd'))
        except (FileNotFoundError, ProcessLookupError):
            # a loader process that ended meanwhile
            continue
        rss, anonymous = (int(status[name].split()[0]) / 1024 for name in ('VmRSS', 'RssAnon'))
        own = pid == os.getpid()
        usage['cpu'] += (int(stat[11]) + int(stat[12]) + (int(stat[13]) + int(stat[14]) if own else 0)) / _TICKS
        usage['rss' if own else 'children_rss'] += rss
        usage['handles'] += handles if own else 0
        usage['anonymous'] += anonymous if own else 0
        usage['children'] += not own
    return usage


def quarters(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Median of every column, and CPU milliseconds a step, in each quarter of the run."""
    size = len(rows) // 4
    parts = [rows[i * size:(i + 1) * size] for i in range(4)]
    table = {name: [statistics.median(row[name] for row in part) for part in parts]
             for name in ('rss', 'anonymous', 'children_rss', 'children', 'handles')}
    table['cpu_ms'] = [1000 * (part[-1]['cpu'] - part[0]['cpu']) / (part[-1]['step'] - part[0]['step'])
                       for part in parts]
    return table


_UNITS = dict(rss='resident memory, MiB', anonymous='of it no files, MiB', handles='open handles',
              cpu_ms='CPU ms a step', children='child processes', children_rss='resident memory of children, MiB')


def as_markdown(table: dict[str, list[float]]) -> str:
    """Rows by quarter, and the last against the second."""
    lines = ['| | 1st quarter (warm-up) | 2nd | 3rd | 4th | 4th against 2nd |', '|---|---|---|---|---|---|']
    for name, title in _UNITS.items():
        values = table[name]
        change = f'{100 * (values[3] / values[1] - 1):+.2f} %' if values[1] else '-'
        lines.append(f'| {title} | ' + ' | '.join(f'{value:.1f}' for value in values) + f' | {change} |')
    return '\n'.join(lines)


def main() -> None:
    """Run and write the tables; exit code 1 where memory or handles grow."""
    args = parse_args()
    from mmengine.hooks import Hook

    from mmactclr.apis import run_training
    from mmactclr.datasets.converters.synthetic import SyntheticConverter
    from mmactclr.registry import DATASETS, HOOKS
    from mmactclr.utils import load_config, write_json, write_text

    rows: list[dict[str, float]] = []

    @HOOKS.register_module()
    class UsageHook(Hook):
        """Reads usage every few steps."""

        priority = 'LOWEST'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            """Read it."""
            if (runner.iter + 1) % _EVERY == 0:
                rows.append(dict(step=runner.iter + 1, **read_usage()))

    data = args.out / 'data'
    if not data.is_dir():
        SyntheticConverter().convert('-', data, num_subjects=4, repeats=2)
    options = {
        'data_root': str(data), 'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None,
        'model.backbone.channels': [8, 16], 'model.backbone.strided_units': [1],
        'model.projector.in_channels': 16, 'model.projector.hidden_channels': 16,
        'train_dataloader.batch_size': 16, 'train_dataloader.num_workers': args.num_workers,
        'default_hooks.checkpoint.interval': 10}
    cfg = load_config(args.config, options)
    steps = len(DATASETS.build(cfg.train_dataloader.dataset)) // 16
    epochs = -(-args.steps // steps)
    cfg = load_config(args.config, {
        **options, 'train_cfg.max_epochs': epochs, 'model.stage_epochs': (epochs // 5, epochs - epochs // 5),
        'param_scheduler.T_max': epochs})
    # measured now and then, at other sizes than training
    cfg.default_hooks.pop('actionlet_overlap', None)
    cfg.custom_hooks.append(dict(type='UsageHook'))
    run_training(cfg, args.out / 'run')
    table = quarters(rows)
    handles = {row['handles'] for row in rows[len(rows) // 4:]}
    result = dict(steps=rows[-1]['step'], num_workers=args.num_workers, quarters=table, handles=sorted(handles),
                  rss_growth=table['rss'][3] / table['rss'][1] - 1,
                  cpu_growth=table['cpu_ms'][3] / table['cpu_ms'][1] - 1, rows=rows)
    write_json(args.out / 'soak.json', result)
    print(write_text(args.out / 'soak.md', as_markdown(table)).read_text())
    # one handle more or less is a log that is being opened at the moment
    if result['rss_growth'] > 0.02 or max(handles) - min(handles) > 1:
        sys.exit(f'error: memory grew by {100 * result["rss_growth"]:.1f} %, handles were {sorted(handles)}; '
                 f'see {args.out / "soak.json"}')


if __name__ == '__main__':
    main()
