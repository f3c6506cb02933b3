"""How well a model's own classifier does."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmactclr.registry import METRICS

from .features import QUERY


@METRICS.register_module()
class ClassificationEvaluator(BaseMetric):
    """Accuracy of the class scores that a model with a classifier gives, top-1 and top-5 in percent.

    Scores the test part of a split, or everything where the data have no split. Data without labels, or with other
    classes than the model's, have no accuracy, which the log says.

    Args:
        classes: Classes that the model tells apart; those of the data if None. A config with ``model='checkpoint'``
            gets them from the model card.
        topk: Numbers of best classes among which the right one counts.
        collect_device: Where distributed results are gathered.
        prefix: Replaces the default name in front of every metric.
    """

    default_prefix = 'classifier'

    def __init__(self, classes: Sequence[str] | None = None, topk: Sequence[int] = (1, 5), collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classes = classes
        self.topk = tuple(topk)

    @property
    def protocol(self) -> dict[str, Any]:
        """What a reader needs to repeat the number."""
        return {'evaluator': type(self).__name__, 'topk': list(self.topk)}

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Append role, label and scores of every sequence."""
        for sample in data_samples:
            self.results.append({'role': sample['role'], 'label': sample['label'], 'score': sample.get('pred_score')})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Share of sequences whose class is among the best k."""
        known = tuple((self.dataset_meta or {}).get('classes', ()))
        reason = None
        if results[0]['score'] is None:
            reason = 'the model has no classifier'
        elif not known:
            reason = 'the data have no labels'
        elif self.classes is not None and tuple(self.classes) != known:
            reason = f'the {len(known)} classes of the data are not the {len(self.classes)} of the model'
        if reason:
            print_log(f'no accuracy: {reason}', logger='current')
            return {}
        chosen = [record for record in results if record['role'] == QUERY] or results
        label = torch.tensor([record['label'] for record in chosen])
        best = torch.stack([record['score'] for record in chosen]).argsort(1, descending=True)
        rank = (best == label[:, None]).float().argmax(1)
        return {f'top{k}': 100. * (rank < k).float().mean().item() for k in self.topk}
