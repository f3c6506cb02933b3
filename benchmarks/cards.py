"""Run the commands on the cards of the published weights again: a JSON line each, and the table of docs/model_zoo.md.

The archives lie in data/utd_mhad, data/ui_prmd, data/nw_ucla and data/synthetic, made as docs/configs.md says.

Example:
    python benchmarks/cards.py
    python benchmarks/cards.py --names actclr_joint_pool
    python benchmarks/cards.py --table
"""
import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import Grid, add_arguments, call, finish, processor, reason  # noqa: E402

from mmactclr.utils.zoo import list_zoo, read_zoo_card  # noqa: E402

# what a cell has, in this order
METRICS = ('knn/backbone_k1', 'knn/backbone_k20', 'linear/backbone_top1', 'logistic/backbone_top1')
COLUMNS = {'': 'the encoder', 'prepared_coordinates': 'prepared coordinates',
           'mean_joint_velocity': 'mean joint velocity', 'untrained_encoder': 'untrained encoder'}


@dataclass(frozen=True)
class Card:
    """One result of a card."""

    name: str
    data: str
    part: str
    command: str

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f'{self.name}, {short(self.data)}, {self.part}'

    @property
    def folder(self) -> str:
        """Name of its folder."""
        words = shlex.split(self.command)
        return words[words.index('--work-dir') + 1].rpartition('/')[2]

    def recipe(self) -> dict[str, Any]:
        """All that its numbers depend on."""
        return dict(name=self.name, data=self.data, part=self.part, command=self.command,
                    sha256=read_zoo_card(self.name)['sha256'])

    def execute(self, folder: Path, out: Path) -> dict[str, Any]:
        """Run the command, with another folder for what it writes; all that it measured."""
        words = shlex.split(self.command)
        words[words.index('--work-dir') + 1] = str(folder)
        if call(words[1:], folder / 'tool.log') is None:
            raise RuntimeError(f'{self.command} failed{reason(folder / "tool.log")}')
        import torch
        found = json.loads((folder / 'metrics.json').read_text())['test']['metrics']
        return dict(metrics={name: round(value, 2) for name, value in found.items()}, torch=torch.__version__,
                    machine=processor())


def table(lines: list[dict[str, Any]]) -> str:
    """A row for each result of each present card: what was measured of the encoder, and of what it has to beat."""
    rows = [['1-NN / kNN / linear / logistic', 'evaluated on', *COLUMNS.values()], ['---'] * (2 + len(COLUMNS))]
    for card in present():
        recipe = card.recipe()
        for line in [line for line in lines if all(line[key] == value for key, value in recipe.items())][-1:]:
            rows.append([f'`{card.name}`', f'{short(card.data)}, {card.part}', *(
                ' / '.join(_cell(line['metrics'].get(f'{who}/{metric}'.lstrip('/'))) for metric in METRICS)
                for who in COLUMNS)])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'


def present(names: Sequence[str] | None = None) -> list[Card]:
    """What is on the cards of published weights: all, or those of some."""
    return [Card(name, *(result[key] for key in ('data', 'part', 'command')))
            for name in names or list_zoo() for result in read_zoo_card(name)['results']]


def short(data: str) -> str:
    """Name of a set without its source."""
    return re.split(r' \(|[,:]', data)[0]


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, 'cards', seeds=False)
    parser.add_argument('--names', nargs='+', choices=list_zoo(), default=list_zoo(), metavar='NAME',
                        help=f'of {", ".join(list_zoo())} (default: all)')
    args = parser.parse_args()
    complete = args.table or Grid(args).drive(present(args.names))
    finish(args, table, complete)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
