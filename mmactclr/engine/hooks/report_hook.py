"""Writes what stands behind an accuracy: which classes are right, and what the others are taken for."""
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.evaluation import Outcome
from mmactclr.evaluation.metrics import class_accuracy
from mmactclr.evaluation.segments import segments_of
from mmactclr.registry import HOOKS
from mmactclr.utils import write_csv

#: Folder of the reports in a work dir.
REPORTS = 'reports'
#: How files of the reports end.
CONFUSION, CLASSES, TIMELINE = '.confusion.csv', '.classes.csv', '.timeline.csv'
#: Values of the column ``of`` of a timeline.
TRUTH, PREDICTION = 'truth', 'prediction'


@HOOKS.register_module()
class ReportHook(Hook):
    """Writes the folder ``reports`` of the work dir after a test, and after the validation that ends a training.

    For every score an evaluator keeps an outcome of, here ``knn/backbone_k20``:

    - ``knn_backbone_k20.classes.csv``: class, sequences (frames, in a segmentation), how many of them are right, the
      share in percent, and the class that the others are taken for most often;
    - ``knn_backbone_k20.confusion.csv``: a row a true class, a column a predicted one.

    A segmentation writes ``segmentation.timeline.csv`` as well: a row a segment, with sequence, ``truth`` or
    ``prediction``, class, first frame and the frame after the last.
    """

    # after the evaluators' numbers are known
    priority = 'VERY_LOW'

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write after the last epoch."""
        if runner.epoch >= runner.max_epochs:
            self._write(runner, runner.val_loop)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write."""
        self._write(runner, runner.test_loop)

    @master_only
    def _write(self, runner: Runner, loop: Any) -> None:
        folder = Path(runner.work_dir) / REPORTS
        # those of an earlier evaluation would pass for this one's
        for old in [path for end in (CONFUSION, CLASSES, TIMELINE) for path in folder.glob(f'*{end}')]:
            old.unlink()
            old.with_suffix('.png').unlink(missing_ok=True)
        count = 0
        for metric in loop.evaluator.metrics:
            for name, outcome in getattr(metric, 'outcomes', {}).items():
                stem = f'{metric.prefix}_{name}'.replace('/', '_')
                write_outcome(folder, stem, outcome)
                count += 1
            timelines = getattr(metric, 'timelines', {})
            if timelines:
                write_csv(folder / f'{metric.prefix}{TIMELINE}', ['sequence', 'of', 'class', 'start', 'stop'],
                          _timeline_rows(metric, timelines))
        if count:
            runner.logger.info(f'accuracy by class and confusion matrices: {folder}')


def write_outcome(folder: Path, stem: str, outcome: Outcome) -> None:
    """Write the two tables of one outcome.

    Args:
        folder: Where to.
        stem: Names of the files without their ends.
        outcome: What came out.
    """
    confusion = outcome.confusion
    write_csv(folder / f'{stem}{CONFUSION}', ['class', *outcome.classes],
              ([name, *row] for name, row in zip(outcome.classes, confusion.tolist(), strict=True)))
    write_csv(folder / f'{stem}{CLASSES}', ['class', 'count', 'right', 'accuracy', 'most_often_taken_for', 'times'],
              _class_rows(outcome.classes, confusion))


def _class_rows(classes: Sequence[str], confusion: torch.Tensor) -> Iterator[list[Any]]:
    wrong = confusion - torch.diag(confusion.diagonal())
    times, taken_for = wrong.max(1)
    for k, (name, share) in enumerate(zip(classes, class_accuracy(confusion).tolist(), strict=True)):
        other = classes[int(taken_for[k])] if int(times[k]) else ''
        yield [name, int(confusion[k].sum()), int(confusion[k, k]), '' if share != share else f'{100 * share:.1f}',
               other, int(times[k]) or '']


def _timeline_rows(metric: BaseMetric, timelines: dict[str, Any]) -> Iterator[list[Any]]:
    classes = metric.dataset_meta['classes']
    for name, pair in timelines.items():
        for kind, labels in zip((TRUTH, PREDICTION), pair, strict=True):
            for segment in segments_of(labels):
                yield [name, kind, classes[segment.label], segment.start, segment.stop]
