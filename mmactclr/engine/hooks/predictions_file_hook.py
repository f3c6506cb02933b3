"""Writes what a classifier says of every sequence where a spreadsheet finds it."""
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import collect_results, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmactclr.registry import HOOKS
from mmactclr.utils import write_csv


@HOOKS.register_module()
class PredictionsFileHook(Hook):
    """Writes ``predictions.csv`` into the work dir after a test.

    One line a sequence: ``name``, ``label`` (the class of the data, empty where there is none), ``prediction``,
    ``probability`` (softmax of the scores), and one column a class with its raw score.

    Args:
        classes: Names of the classes that the model tells apart; those of the data if None. A config with
            ``model='checkpoint'`` gets them from the model card.
        filename: Name of the file.
    """

    def __init__(self, classes: Sequence[str] | None = None, filename: str = 'predictions.csv') -> None:
        self.classes = classes
        self.filename = filename
        self._records: list[tuple[int, int, Any]] = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget what was predicted before."""
        self._records = []

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Sequence[Any] | None = None) -> None:
        """Keep position, label and scores of every sequence."""
        self._records += [(sample.index, sample.label, sample.get('pred_score')) for sample in outputs or ()]

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the file."""
        dataset = runner.test_loop.dataloader.dataset
        records = collect_results(self._records, len(dataset), 'cpu')
        if not is_main_process():
            return
        if not records or records[0][2] is None:
            print_log(f'{self.filename} is not written: the model has no classifier', logger='current',
                      level=logging.WARNING)
            return
        meta = dataset.metainfo
        known = tuple(meta['classes'])
        width = len(records[0][2])
        classes = tuple(self.classes or known or (f'class_{k}' for k in range(width)))
        path = Path(runner.work_dir) / self.filename
        write_csv(path, ['name', 'label', 'prediction', 'probability', *classes],
                  (self._row(meta['names'][index], known[label] if 0 <= label < len(known) else '', score, classes)
                   for index, label, score in records))
        print_log(f'class and scores of {len(records)} sequences: {path}', logger='current')

    @staticmethod
    def _row(name: str, label: str, score: Any, classes: Sequence[str]) -> list[str]:
        best = int(score.argmax())
        return [name, label, classes[best], f'{score.softmax(0)[best]:.4f}',
                *(f'{value:.6g}' for value in score.tolist())]
