"""The part of an evaluator that collects features of the bank (train) and the queries (test)."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmactclr.errors import ConfigError, DataError
from mmactclr.models.algorithms.multi_stream import DEFAULT_FUSION, check_fusion

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

    @property
    def num_classes(self) -> int:
        """Classes that occur in either part, those before the last one included."""
        return int(torch.cat([self.bank_labels, self.query_labels]).max()) + 1


class FeatureMetric(BaseMetric):
    """Keeps one record a sequence, splits by role and takes class scores from every feature point.

    A point of several streams (``joint.backbone``, ``bone.backbone``, ...) is scored stream by stream; ``backbone`` is
    then the weighted sum of the streams' class scores, and names that end in ``_equal`` weigh all streams alike.

    Args:
        points: Feature points to evaluate, e.g. ``('backbone', 'projection')``; those that a model does not
            offer are left out, but at least one must be there.
        fusion: Weights of the streams (section 4 of the method); fixed beforehand, never fitted to test data.
        collect_device: Where distributed results are gathered.
        prefix: Replaces the default name in front of every metric.
    """

    def __init__(self, points: Sequence[str] = ('backbone',), fusion: Mapping[str, float] = DEFAULT_FUSION,
                 collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.points, self.fusion = tuple(points), dict(fusion)

    @property
    def protocol(self) -> dict[str, Any]:
        """What a reader needs to repeat the number."""
        return {'evaluator': type(self).__name__, 'points': list(self.points), 'fusion': self.fusion}

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
                                 'features': self._wanted(sample['features'])})

    def _wanted(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The points of one sequence; of several streams their own, not the concatenation of all."""
        wanted: dict[str, Tensor] = {}
        for point in self.points:
            streams = {name: value for name, value in features.items() if name.endswith(f'.{point}')}
            wanted.update(streams or ({point: features[point]} if point in features else {}))
        return wanted

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
            streams = {}
            for name in results[0]['features']:
                stream, _, offered = name.rpartition('.')
                if offered == point:
                    features = torch.stack([record['features'][name] for record in results])
                    streams[stream] = self.class_scores(
                        FeatureSplit(features[bank], label[bank], features[queries], label[queries]))
            scores = {f'{stream}.{point}' if stream else point: value for stream, value in streams.items()}
            if streams and '' not in streams:
                scores[point] = self._fused(streams)
            metrics.update({f'{name}_{variant}': top1(value, label[queries])
                            for name, variants in scores.items() for variant, value in variants.items()})
        if not metrics:
            raise ConfigError(f'{type(self).__name__}: the model offers none of the feature points {list(self.points)}')
        return metrics

    def _fused(self, scores: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Sums of the streams' class scores by name, weighted and, as ``NAME_equal``, with equal weights."""
        weights = check_fusion(self.fusion, scores, type(self).__name__)
        fused = {}
        for name in next(iter(scores.values())):
            fused[name] = sum(weights[stream] * scores[stream][name] for stream in scores)
            fused[f'{name}_equal'] = sum(scores[stream][name] for stream in scores)
        return fused

    def _unlabelled(self, who: str) -> DataError:
        return DataError(
            f'{type(self).__name__} needs the class of every sequence, {who} a `label`; add `label` to the data and '
            'convert it again, or pretrain without evaluation: val_dataloader=None val_cfg=None val_evaluator=None')

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """Raw class scores (Q, classes) of the queries by name."""
        raise NotImplementedError


def top1(scores: Tensor, labels: Tensor) -> float:
    """Share in percent of (Q, classes) scores whose best class is the label (Q,)."""
    return 100.0 * (scores.argmax(1) == labels).float().mean().item()
