"""How well a model's own classifier does."""
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmactclr.models.algorithms.base import SCORE
from mmactclr.registry import METRICS

from .features import QUERY
from .outcome import Outcome, check_finite


@METRICS.register_module()
class ClassificationEvaluator(BaseMetric):
    """Accuracy of the class scores that a model with a classifier gives, top-1 and top-5 in percent.

    A model of several streams is measured fused as it says (``top1``), stream by stream (``joint.top1``) and with equal
    weights (``top1_equal``). Scores the test part of a split, or everything where the data have no split. Sequences
    without a label do not count; data without any, or with other classes than the model's, have no accuracy, which the
    log says.

    Args:
        classes: Classes that the model tells apart; those of the data if None. A config with ``model='checkpoint'``
            gets them from the model card.
        topk: Numbers of best classes among which the right one counts; those that leave no class out are not reported.
        collect_device: Where distributed results are gathered.
        prefix: Replaces the default name in front of every metric.

    Attributes:
        outcomes: ``{'score': what came out}`` of the last evaluation.
    """

    default_prefix = 'classifier'

    def __init__(self, classes: Sequence[str] | None = None, topk: Sequence[int] = (1, 5), collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classes = classes
        self.topk = tuple(topk)
        self.outcomes: dict[str, Outcome] = {}

    @property
    def protocol(self) -> dict[str, Any]:
        """What a reader needs to repeat the number."""
        return {'evaluator': type(self).__name__, 'topk': list(self.topk)}

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Append role, label and scores of every sequence, those of single streams among them."""
        for sample in data_samples:
            whole = {} if sample.get('pred_score') is None else {'': sample['pred_score']}
            scores = {**whole, **{name.removesuffix(SCORE): value for name, value in sample.get('features', {}).items()
                                  if name.endswith(f'.{SCORE}')}}
            self.results.append({'role': sample['role'], 'label': sample['label'], 'scores': scores})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Share of sequences whose class is among the best k."""
        known = tuple((self.dataset_meta or {}).get('classes', ()))
        self.outcomes, reason = {}, None
        if not results[0]['scores']:
            reason = 'the model has no classifier'
        elif not known:
            reason = 'the data have no labels'
        elif self.classes is not None and tuple(self.classes) != known:
            reason = f'the {len(known)} classes of the data are not the {len(self.classes)} of the model'
        if reason:
            print_log(f'no accuracy: {reason}', logger='current')
            return {}
        chosen = [record for record in results if record['role'] == QUERY] or results
        labelled = [record for record in chosen if record['label'] >= 0]
        if not labelled:
            print_log(f'no accuracy: none of the {len(chosen)} sequences to test has a label', logger='current')
            return {}
        if len(labelled) < len(chosen):
            print_log(f'accuracy is that of the {len(labelled)} sequences with a label, {len(chosen) - len(labelled)} '
                      'have none', logger='current')
        label = torch.tensor([record['label'] for record in labelled])
        scores = {name: torch.stack([record['scores'][name] for record in labelled])
                  for name in labelled[0]['scores']}
        check_finite(type(self).__name__, scores[''])
        self.outcomes = {SCORE: Outcome.of(label, scores[''].softmax(1), known)}
        metrics = self._accuracies(scores[''], label)
        streams = {name: value for name, value in scores.items() if name}
        for name, value in streams.items():
            metrics.update({f'{name}{top}': found for top, found in self._accuracies(value, label).items()})
        if streams:
            equal = self._accuracies(cast(Tensor, sum(streams.values())), label)
            metrics.update({f'{top}_equal': found for top, found in equal.items()})
        return metrics

    def _accuracies(self, scores: Tensor, label: Tensor) -> dict[str, float]:
        rank = (scores.argsort(1, descending=True) == label[:, None]).float().argmax(1)
        return {f'top{k}': 100. * (rank < k).float().mean().item() for k in self.topk if k == 1 or k < scores.shape[1]}
