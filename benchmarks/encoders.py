"""Measure pretrained encoders on the labelled sets: a JSON line each, and the table with every stream and both fusions.

kNN and logistic regression as in on_sets.py, beside features that cost nothing and the same network untrained.

Example:
    python benchmarks/encoders.py 'public ActCLR=actclr.pth' actclr_joint_pool=actclr_joint_pool
    python benchmarks/encoders.py --table
"""
import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import (  # noqa: E402
    BASELINE_TITLES,
    Grid,
    accuracies,
    add_arguments,
    call,
    finish,
    named_encoders,
    reason,
)
from on_sets import TITLES  # noqa: E402

from mmactclr.datasets.archive_format import file_sha256  # noqa: E402
from mmactclr.utils.zoo import find_checkpoint  # noqa: E402

# what a line says of an encoder of several streams, and how a table calls it
PARTS = {'encoder': '', 'joint': ', joint', 'motion': ', motion', 'bone': ', bone',
         'equal': ', fused with equal weights'}


@dataclass(frozen=True)
class Measured:
    """An encoder that is measured; the seed is that of the untrained one."""

    encoder: str
    source: str
    seed: int = 0

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f'{self.encoder}, seed {self.seed}'

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f'{self.encoder}_{self.seed}'

    def recipe(self) -> dict[str, Any]:
        """All that its numbers depend on."""
        return dict(encoder=self.encoder, sha256=file_sha256(Path(find_checkpoint(self.source)))[:16], seed=self.seed)

    def execute(self, folder: Path, out: Path) -> dict[str, Any]:
        """Measure it."""
        path, log = folder / 'on_sets.json', folder / 'on_sets.log'
        if call(['benchmarks/on_sets.py', self.source, '--baselines', '--seed', str(self.seed), '--json', str(path)],
                log) is None:
            raise RuntimeError(f'the evaluation failed{reason(log)}')
        return dict(sets=next(iter(json.loads(path.read_text()).values())))


def table(lines: Sequence[dict[str, Any]]) -> str:
    """kNN and logistic regression of each encoder on every set, stream by stream where it has several.

    The untrained encoders are means over the seeds; an encoder itself has the same numbers with every seed.
    """
    head = ['kNN / logistic', *TITLES.values(), 'mean of sets']
    baselines, rows, names = [], [], list(dict.fromkeys(line['encoder'] for line in lines))
    for name in names:
        group = [line for line in lines if line['encoder'] == name]
        columns = group[0]['sets']['utd_mhad']
        if not baselines:
            baselines = [[BASELINE_TITLES[who], *accuracies(group[:1], who)]
                         for who in list(BASELINE_TITLES)[:2]]
        untrained = accuracies(group, 'untrained_encoder')
        # encoders of one network have it in common
        if untrained not in [row[1:] for row in rows]:
            rows.append([f'untrained encoder of {name}', *untrained])
        several = 'joint' in columns
        rows += [[f'{name}{title or ", fused 0.6 / 0.4 / 0.6" * several}', *accuracies(group[:1], who)]
                 for who, title in PARTS.items() if who in columns]
    return '\n'.join(f'| {" | ".join(row)} |' for row in [head, ['---'] * len(head), *baselines, *rows])


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('encoders', nargs='*', metavar='NAME=CKPT', help='checkpoints with a card, or names of the zoo')
    add_arguments(parser, 'encoders')
    args = parser.parse_args()
    complete = True
    if not args.table:
        encoders = named_encoders(args.encoders)
        complete = Grid(args).drive([Measured(name, source, seed) for name, source in encoders.items()
                                     for seed in args.seeds])
    finish(args, table, complete)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
