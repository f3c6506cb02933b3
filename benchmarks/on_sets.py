"""Evaluate frozen encoders on the labelled sets of the pool: kNN and a linear classifier, the same for all.

UTD-MHAD and UI-PRMD (correct executions) by subject, Northwestern-UCLA by view, on all 464 test sequences and on the
369 that are no copies of training files. Prints a table and writes the numbers as JSON.

Example:
    python benchmarks/on_sets.py work_dirs/a/epoch_8.pth work_dirs/b/epoch_8.pth --json found.json
    python benchmarks/on_sets.py actclr.pth --baselines
"""
import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# read when numpy and torch are imported
os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np  # noqa: E402
from torch import Tensor  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from mmactclr.apis import run_test  # noqa: E402
from mmactclr.datasets import SkeletonArchive  # noqa: E402
from mmactclr.errors import ConfigError  # noqa: E402
from mmactclr.evaluation import KNNEvaluator, LogisticEvaluator  # noqa: E402
from mmactclr.evaluation.features import QUERY, FeatureMetric, top1  # noqa: E402
from mmactclr.registry import METRICS  # noqa: E402
from mmactclr.utils import load_config, write_text  # noqa: E402

CONFIGS = {
    'utd_mhad': 'checkpoint_utdmhad_xsub', 'ui_prmd': 'checkpoint_uiprmd_xsub', 'nw_ucla': 'checkpoint_nwucla_xview'}
TITLES = {'utd_mhad': 'UTD-MHAD', 'ui_prmd': 'UI-PRMD', 'nw_ucla': 'NW-UCLA, 464', 'nw_ucla_clean': 'NW-UCLA, 369'}
# what a classifier is told about: k-nearest neighbours, logistic regression on standardised features
NUMBERS = {'knn': 'knn/backbone_k20', '1nn': 'knn/backbone_k1', 'linear': 'logistic/backbone_top1'}
STREAMS = ('joint', 'motion', 'bone')
BASELINES = ('prepared_coordinates', 'mean_joint_velocity', 'untrained_encoder')
# set whose test part has another one inside, and the split that leaves the copies out
CLEAN = {'nw_ucla': ('nw_ucla_clean', 'xview_clean')}


class OnBoth(FeatureMetric):
    """Counts the test sequences of another split of the same archive, too, whose training part is the same one.

    Args:
        data_root: Folder of the archive.
        split: Split of the config.
        inner: The other one.
        kwargs: Arguments of the evaluator.
    """

    def __init__(self, data_root: str, split: str, inner: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        archive = SkeletonArchive.open(data_root)
        if not np.array_equal(archive.split(split, 'train'), archive.split(inner, 'train')):
            raise ConfigError(f'{data_root}: {split} and {inner} have different training parts')
        self.inner = set(archive.split(inner, 'test').tolist())

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep where a sequence lies in the archive."""
        super().process(data_batch, data_samples)
        for record, sample in zip(self.results[-len(data_samples):], data_samples, strict=True):
            record['index'] = int(sample['index'])

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Note which queries are in the other split."""
        self.kept = [record['index'] in self.inner for record in results if record['role'] == QUERY]
        return super().compute_metrics(results)

    def measure(self, name: str, scores: Tensor, bank_labels: Tensor, query_labels: Tensor) -> dict[str, float]:
        """Accuracy in percent of all queries, and of those in the other split."""
        return {**super().measure(name, scores, bank_labels, query_labels),
                f'{name}_inner': top1(scores[self.kept], query_labels[self.kept])}


@METRICS.register_module()
class KNNOnBoth(OnBoth, KNNEvaluator):
    """:class:`KNNEvaluator` on both."""


@METRICS.register_module()
class LogisticOnBoth(OnBoth, LogisticEvaluator):
    """:class:`LogisticEvaluator` on both."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', nargs='+', help='checkpoints with a card, or names of the model zoo')
    parser.add_argument('--sets', nargs='+', choices=CONFIGS, default=list(CONFIGS), help='(default: all)')
    parser.add_argument('--baselines', action='store_true',
                        help='also raw coordinates, mean joint velocity and the untrained encoder of each')
    parser.add_argument('--seed', type=int, default=0, help='of the untrained encoder (default: 0)')
    parser.add_argument('--json', type=Path, help='write the numbers of all checkpoints, by checkpoint')
    return parser.parse_args()


def evaluate(checkpoint: str, name: str, baselines: bool = False, seed: int = 0
             ) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracies in percent of an encoder, and of baselines, on a set: ``{set: {'encoder': {'knn': .., ...}}}``.

    Of several streams the encoder is what they say fused; beside it stand each of them, and ``equal`` for equal
    weights.

    Args:
        checkpoint: Checkpoint with a card.
        name: One of :data:`CONFIGS`.
        baselines: Evaluate :data:`BASELINES` with the frames and joints of this encoder, too.
        seed: Seed of the untrained encoder.
    """
    cfg = load_config(CONFIGS[name], {'randomness.seed': seed})
    clean, split = CLEAN.get(name, ('', cfg.split))
    both = dict(data_root=cfg.data_root, split=cfg.split, inner=split)
    cfg.test_evaluator = [dict(type='KNNOnBoth', k=[1, 20], **both), dict(type='LogisticOnBoth', **both)]
    cfg.test_cfg.baselines = {key: value for key, value in cfg.test_cfg.baselines.items()
                              if baselines and key in BASELINES}
    # the runner says on standard output what it does; a log of it is in the folder, which is not kept
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        found = run_test(cfg, checkpoint, folder)
    who = {'encoder': '{}/{}', **{key: f'{key}/{{}}/{{}}' for key in cfg.test_cfg.baselines},
           **{stream: f'{{}}/{stream}.{{}}' for stream in STREAMS}, 'equal': '{}/{}_equal'}
    columns = {name: '', **({clean: '_inner'} if clean else {})}
    numbers = {column: {key: {short: round(found[place], 2) for short, metric in NUMBERS.items()
                              if (place := form.format(*metric.split('/')) + ending) in found}
                        for key, form in who.items()} for column, ending in columns.items()}
    return {column: {key: value for key, value in rows.items() if value} for column, rows in numbers.items()}


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row for each encoder and baseline: kNN and linear on every set."""
    sets = list(next(iter(found.values())))
    rows = [f'| kNN / linear | {" | ".join(TITLES[name] for name in sets)} |', '|---' * (len(sets) + 1) + '|']
    for checkpoint, results in found.items():
        for who in results[sets[0]]:
            cells = [f'{results[name][who]["knn"]:.1f} / {results[name][who]["linear"]:.1f}' for name in sets]
            rows.append(f'| {checkpoint if who == "encoder" else who.replace("_", " ")} | {" | ".join(cells)} |')
    return '\n'.join(rows)


def main() -> None:
    """Evaluate all and print the table."""
    args = parse_args()
    found = {}
    for checkpoint in args.checkpoints:
        found[checkpoint] = {}
        for name in args.sets:
            print(f'{checkpoint} on {name}', file=sys.stderr, flush=True)
            found[checkpoint].update(evaluate(checkpoint, name, args.baselines, args.seed))
    print(table(found))
    if args.json:
        write_text(args.json, json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
