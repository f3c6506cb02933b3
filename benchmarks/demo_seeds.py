"""Repeat the demo with several seeds; a JSON line each, and the table of the medians.

A seed that has its line is not run again, and one that was interrupted goes on where it was.

Example:
    python benchmarks/demo_seeds.py
    python benchmarks/demo_seeds.py --table
"""
import argparse
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# batches this small gain nothing from a second thread, and lose much wherever the cores are shared; torch reads it
# when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import Grid, add_arguments, finish, processor  # noqa: E402

CONFIG = 'configs/demo/actclr_motion_demo.py'


@dataclass(frozen=True)
class Demo:
    """The demo with a seed of weights, order and augmentation; the data stay the same."""

    seed: int

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f'demo, seed {self.seed}'

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f'seed{self.seed}'

    def recipe(self) -> dict[str, Any]:
        """All that its numbers depend on."""
        return dict(config=CONFIG, seed=self.seed)

    def execute(self, folder: Path, out: Path) -> dict[str, Any]:
        """Train both stages and evaluate."""
        import torch

        from mmactclr.apis.demo import run_demo
        return dict(rows=run_demo(ROOT / CONFIG, folder, self.seed), torch=torch.__version__, machine=processor())


def table(lines: list[dict[str, Any]]) -> str:
    """Medians over the seeds of every row of the demo."""
    runs = [line['rows'] for line in lines]
    columns = list(next(iter(runs[0].values())))
    rows = [[f'median of {len(runs)} seeds', *columns], ['---'] * (len(columns) + 1)]
    for name in runs[0]:
        rows.append([name, *(f'{statistics.median(run[name][column] for run in runs):.1f}' for column in columns)])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, 'demo')
    args = parser.parse_args()
    complete = args.table or Grid(args).drive([Demo(seed) for seed in args.seeds])
    finish(args, table, complete)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
