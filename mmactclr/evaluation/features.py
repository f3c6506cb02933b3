"""The part of an evaluator that collects features of the bank (train) and the queries (test)."""
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmactclr.errors import ConfigError, DataError
from mmactclr.models.algorithms.multi_stream import DEFAULT_FUSION, check_fusion

from .outcome import Outcome, check_finite

BANK, QUERY = 0, 1
# ends the names of what was fused with equal weights
_EQUAL = '_equal'


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
        points: Feature points to evaluate, e.g. ``('backbone', 'projection')``, or a single one; those that a model
            does not offer are left out, but at least one must be there. ``joint.backbone`` is that of one stream alone.
        fusion: Weights of the streams (section 4 of the method), fixed beforehand, never fitted to test data; a
            stream that is left out keeps its weight of the method.
        collect_device: Where distributed results are gathered.
        prefix: Replaces the default name in front of every metric.

    Raises:
        ConfigError: If a weight is not a number from 0 up.

    Attributes:
        outcomes: What came out for every score of ``points``, streams fused, by its name (``backbone_k20``).
    """

    def __init__(self, points: str | Sequence[str] = ('backbone',),
                 fusion: Mapping[str, float] = DEFAULT_FUSION, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.points = (points,) if isinstance(points, str) else tuple(points)
        self.fusion = {**DEFAULT_FUSION, **fusion}
        self.outcomes: dict[str, Outcome] = {}
        wrong = {stream: weight for stream, weight in self.fusion.items()
                 if not isinstance(weight, (int, float)) or not 0 <= weight < math.inf}
        if wrong:
            raise ConfigError(f'{type(self).__name__}: fusion has {wrong}, expected numbers from 0 up')

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
            names = [name for point in self.points for name in _names_of(point, sample['features'])]
            self.results.append({'role': sample['role'], 'label': sample['label'],
                                 'features': {name: sample['features'][name] for name in names}})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Split the records into bank and queries and score every feature point.

        Raises:
            DataError: If a sequence has no label.
            ConfigError: If bank or queries are missing, the model offers no feature point, or weights and streams do
                not fit.
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
        self.outcomes = {}
        for point in self.points:
            names = _names_of(point, results[0]['features'])
            weights = self._weights(point, names)
            scores = {}
            for name in names:
                features = torch.stack([record['features'][name] for record in results])
                self._check_features(name, features)
                scores[name] = self.class_scores(
                    FeatureSplit(features[bank], label[bank], features[queries], label[queries]))
            if weights:
                scores[point] = _fuse(scores, weights)
            for name, variants in scores.items():
                for variant, value in variants.items():
                    metrics.update(self.measure(f'{name}_{variant}', value, label[bank], label[queries]))
                    if name == point and not variant.endswith(_EQUAL):
                        self._keep(f'{name}_{variant}', value, label[queries])
        if not metrics:
            raise ConfigError(f'{type(self).__name__}: the model offers none of the feature points {list(self.points)}')
        return metrics

    def _weights(self, point: str, names: Sequence[str]) -> dict[str, float]:
        """Weight of each of the streams' names; nothing where there are no streams."""
        streams = {name.removesuffix(f'.{point}'): name for name in names if name != point}
        if not streams:
            return {}
        unknown = sorted(self.fusion.keys() - DEFAULT_FUSION.keys() - streams.keys())
        if unknown:
            raise ConfigError(f'{type(self).__name__}: fusion has a weight for {", ".join(unknown)}, but the streams '
                              f'of the model are {", ".join(streams)}; correct the name')
        weights = check_fusion(self.fusion, streams, type(self).__name__)
        return {streams[stream]: weight for stream, weight in weights.items()}

    def _check_features(self, name: str, features: Tensor) -> None:
        if features.dim() != 2:
            raise ConfigError(f'{type(self).__name__}: {name} of a sequence has the shape {tuple(features.shape[1:])}, '
                              'expected one vector; a Segmentor is evaluated by configs/benchmarks/segmentation')
        check_finite(f'{type(self).__name__}, {name}', features)

    def _keep(self, name: str, scores: Tensor, labels: Tensor) -> None:
        probabilities = self.probabilities(scores)
        if probabilities is not None:
            classes = (self.dataset_meta or {}).get('classes', ())
            self.outcomes[name] = Outcome.of(labels, probabilities, classes)

    def _unlabelled(self, who: str) -> DataError:
        return DataError(
            f'{type(self).__name__} needs the class of every sequence, {who} a `label`; add `label` to the data and '
            'convert it again, or pretrain without evaluation: val_dataloader=None val_cfg=None val_evaluator=None')

    def class_scores(self, split: FeatureSplit) -> dict[str, Tensor]:
        """Raw class scores (Q, classes) of the queries by name."""
        raise NotImplementedError

    def probabilities(self, scores: Tensor) -> Tensor | None:
        """Probabilities (Q, classes) of raw scores: their softmax unless a subclass has others, or None."""
        return scores.softmax(1)

    def measure(self, name: str, scores: Tensor, bank_labels: Tensor, query_labels: Tensor) -> dict[str, float]:
        """What scores of the queries are worth, by name: top-1 accuracy in percent unless a subclass says more."""
        return {name: top1(scores, query_labels)}


def _names_of(point: str, offered: Iterable[str]) -> list[str]:
    """What a model offers for a point: that of every stream, not the concatenation of them, or the point itself."""
    offered = list(offered)
    return [name for name in offered if name.endswith(f'.{point}')] or [name for name in offered if name == point]


def _fuse(scores: Mapping[str, Mapping[str, Tensor]], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Sums of the streams' class scores by variant, weighted and, as ``VARIANT_equal``, with equal weights."""
    fused: dict[str, Tensor] = {}
    for variant in next(iter(scores.values())):
        fused[variant] = cast(Tensor, sum(weight * scores[name][variant] for name, weight in weights.items()))
        fused[f'{variant}{_EQUAL}'] = cast(Tensor, sum(scores[name][variant] for name in weights))
    return fused


def top1(scores: Tensor, labels: Tensor) -> float:
    """Share in percent of (Q, classes) scores whose best class is the label (Q,)."""
    return 100.0 * (scores.argmax(1) == labels).float().mean().item()
