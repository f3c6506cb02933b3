"""Pretrain every method on the pool from scratch, for the same steps and for the same seconds, and compare them.

All have the short recipe on the five sets of configs/_base_/datasets/pool.py: encoder, memory, batch of 32 and weak
views are the same; temperature, projector and number of views are those of the method. Each is measured on the three
labelled sets. Runs for the same seconds come after those for the same steps, which tell what an epoch costs.

Example:
    python benchmarks/pool_methods.py --jobs 2
    python benchmarks/pool_methods.py --table
    python benchmarks/pool_methods.py --figure docs/images/knn_by_time.png
"""
import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import Grid, Run, add_arguments, finish, over_sets, read_lines, sets_table  # noqa: E402

# config, what depends on the epochs, and sequences encoded a step for each of the batch: with gradient + without
METHODS: dict[str, tuple[str, str, str]] = {
    'SkeletonCLR': ('skeletonclr_joint_pool_xsub', '', '1 + 1'),
    'ActCLR': ('actclr_joint_pool_xsub', 'stages', '1 + 2 (mask, key) + anchor'),
    'AimCLR': ('aimclr_joint_pool_xsub', 'mining', '2 + 1'),
    'SkeleMixCLR': ('skelemixclr_joint_pool_xsub', '', '2 + 1'),
    'SkeleMixCLR+': ('skelemixclr-plus_joint_pool_xsub', '', '4 + 1'),
    '3s-SkeletonCLR': ('skeletonclr_3s_pool_xsub', '', '3 + 3'),
    '3s-CrosSCLR': ('crosclr_3s_pool_xsub', 'cross', '3 + 3'),
    '3s-CMD loss': ('cmd_3s_pool_xsub', '', '3 + 3'),
    '3s-ActCLR': ('actclr_3s_pool_xsub', 'branch stages', '3 + 6 + anchors')}
EPOCHS, SECONDS = 4, 240
CONTROL = ('SkeletonCLR', 'steps')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, 'pool_methods')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS), metavar='NAME',
                        help=f'of {", ".join(METHODS)} (default: all)')
    parser.add_argument('--only', choices=('steps', 'seconds'), help='one of both comparisons')
    parser.add_argument('--figure', type=Path, help='run nothing, draw kNN against seconds')
    return parser.parse_args()


def run_of(method: str, seed: int, epochs: int, budget: str) -> Run:
    """The run of a method; its second part begins where that of the papers does, AimCLR's mining later.

    A third of the epochs are stage two of ActCLR; CrosSCLR crosses over in the second half; AimCLR mines in the last
    quarter, as the neighbours that it would find in so few epochs before are mostly of other classes.
    """
    config, second, _ = METHODS[method]
    stages = (epochs - max(1, epochs // 3), max(1, epochs // 3))
    model = {'stages': dict(stage_epochs=stages), 'branch stages': dict(branch=dict(stage_epochs=stages)),
             'mining': dict(mining_epoch=epochs - max(1, epochs // 4)), 'cross': dict(cross_epoch=epochs // 2)}
    return Run(method, config, epochs, budget, dict(model=model[second]) if second else {}, seed=seed,
               baselines=method in ('SkeletonCLR', '3s-SkeletonCLR'))


def affordable(method: str, seconds: float, epochs: int, lines: list[dict[str, Any]]) -> int:
    """Epochs that fit into so many seconds, from what the runs for the same steps took; 0 if there are none.

    Once a method has a run for the seconds, all its seeds have as many epochs.
    """
    before = [line['epochs'] for line in lines if (line['variant'], line['budget']) == (method, 'seconds')]
    if before:
        return before[0]
    known = [line['seconds'] for line in lines
             if (line['variant'], line['budget'], line['epochs']) == (method, 'steps', epochs)]
    return max(1, round(seconds * epochs / statistics.median(known))) if known else 0


def with_budget(lines: list[dict[str, Any]], method: str, budget: str) -> list[dict[str, Any]]:
    """Lines of a method; those of the same steps are those of the same seconds, too, where they take as long."""
    found = [line for line in lines if (line['variant'], line['budget']) == (method, budget)]
    if not found and budget == 'seconds' and affordable(method, SECONDS, EPOCHS, lines) == EPOCHS:
        found = [{**line, 'budget': budget} for line in with_budget(lines, method, 'steps')]
    return found


def table(lines: list[dict[str, Any]]) -> str:
    """The methods, first for the same steps, then for the same seconds; differences from SkeletonCLR of either."""
    tables = []
    for budget, title in (('steps', 'The same steps'), ('seconds', 'The same seconds')):
        if with_budget(lines, CONTROL[0], budget):
            found = [line for method in METHODS for line in with_budget(lines, method, budget)]
            # the heading says which budget it is
            found = [{**line, 'budget': 'steps'} for line in found]
            rows = sets_table(found, [(method, 'steps') for method in METHODS], CONTROL)
            tables.append(f'**{title}**\n\n{rows}')
    return '\n\n'.join(tables)


def figure(lines: list[dict[str, Any]], path: Path) -> None:
    """Mean kNN over the sets against seconds of training: a line from the shorter to the longer runs of a method."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    drawing, axes = pyplot.subplots(figsize=(7, 4.5), layout='constrained')
    for number, method in enumerate(METHODS):
        points = []
        for budget in ('steps', 'seconds'):
            group = [line for line in lines if (line['variant'], line['budget']) == (method, budget)]
            if group:
                knn = [over_sets(line, 'knn') for line in group]
                points.append((statistics.mean(line['seconds'] for line in group), statistics.mean(knn),
                               statistics.stdev(knn) if len(knn) > 1 else 0.))
        if points:
            x, y, error = zip(*sorted(points), strict=True)
            axes.errorbar(x, y, error, marker='os^Dvp*Xh'[number], capsize=3, label=method, color=f'C{number}',
                          linestyle='--' if method.startswith('3s') else '-')
    axes.set(xlabel='seconds of one thread, evaluation apart', ylabel='kNN (k 20), mean of three sets, %')
    axes.legend(fontsize=8, ncols=2)
    axes.grid(alpha=.3)
    drawing.savefig(path, dpi=150)


def main() -> None:
    """Run what is missing, then print the tables."""
    args = parse_args()
    if args.figure:
        figure(read_lines(args.results), args.figure)
        return
    complete = True
    if not args.table:
        grid = Grid(args)
        if args.only != 'seconds':
            complete &= grid.drive([run_of(method, seed, EPOCHS, 'steps')
                                    for seed in args.seeds for method in args.methods])
        if args.only != 'steps':
            lines = read_lines(args.results)
            epochs = {method: affordable(method, SECONDS, EPOCHS, lines) for method in args.methods}
            complete &= all(epochs.values())
            # as many epochs as for the same steps: these runs are there
            complete &= grid.drive([run_of(method, seed, epochs[method], 'seconds') for seed in args.seeds
                                    for method in args.methods if epochs[method] not in (0, EPOCHS)])
    finish(args, table, complete)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
