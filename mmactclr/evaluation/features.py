"""The part of an evaluator that collects features of the bank (train) and the queries (test)."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmactclr.errors import ConfigError, DataError

BANK, QUERY = 0, 1


@dataclass(frozen=True)
class FeatureSplit:
    """Features and labels of one feature point.

    Attributes:
        bank: (B, D) features of the training sequences.
        bank_labels: (B,).
        queries: (Q, D) features of the test sequences.
        query_labels: (Q,).
    """

    bank: Tensor
    bank_labels: Tensor
    queries: Tensor
    query_labels: Tensor


class FeatureMetric(BaseMetric):
    """Keeps one record a sequence, splits by role and hands every feature point to :meth:`score`.

    Args:
        points: Feature points to evaluate, e.g. ``('backbone', 'projection')``; those that a model does not
            offer are left out, but at least one must be there.
        collect_device: Where distributed results are gathered.
        prefix: Replaces the default name in front of every metric.
    """

    def __init__(self, points: Sequence[str] = ('backbone',), collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.points = tuple(points)

    @property
    def protocol(self) -> dict[str, Any]:
        """What a reader needs to repeat the number."""
        return {'evaluator': type(self).__name__, 'points': list(self.points)}

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """What the dataset says of itself; one without classes is refused before the first epoch."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        """Take it over."""
        if not dataset_meta.get('classes', True):
            raise self._unlabelled('no sequence has')
        self._dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Append one record a sequence; the features are references, not copies."""
        for sample in data_samples:
            self.results.append({'role': sample['role'], 'label': sample['label'],
                                 'features': {point: sample['features'][point] for point in self.points
                                              if point in sample['features']}})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Split the records into bank and queries and score every feature point.

        Raises:
            DataError: If a sequence has no label.
            ConfigError: If bank or queries are missing, or the model offers no feature point.
        """
        role = torch.tensor([record['role'] for record in results])
        label = torch.tensor([record['label'] for record in results])
        if (label < 0).any():
            raise self._unlabelled(f'{int((label < 0).sum())} of {len(label)} sequences do not have')
        bank, queries = role == BANK, role == QUERY
        if not bank.any() or not queries.any():
            raise ConfigError(f'{type(self).__name__}: {int(bank.sum())} training and {int(queries.sum())} test '
                              "sequences were given, both are needed; let the test dataset use subset='both'")
        metrics: dict[str, float] = {}
        for point in self.points:
            if point not in results[0]['features']:
                continue
            features = torch.stack([record['features'][point] for record in results])
            split = FeatureSplit(features[bank], label[bank], features[queries], label[queries])
            metrics.update({f'{point}_{name}': value for name, value in self.score(split).items()})
        if not metrics:
            raise ConfigError(f'{type(self).__name__}: the model offers none of the feature points {list(self.points)}')
        return metrics

    def _unlabelled(self, who: str) -> DataError:
        return DataError(
            f'{type(self).__name__} needs the class of every sequence, {who} a `label`; add `label` to the data and '
            'convert it again, or pretrain without evaluation: val_dataloader=None val_cfg=None val_evaluator=None')

    def score(self, split: FeatureSplit) -> dict[str, float]:
        """Accuracies in percent by name."""
        raise NotImplementedError
