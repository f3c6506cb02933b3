"""How well the frames of long sequences are labelled."""
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import METRICS

from .features import QUERY
from .metrics import accuracy, frequency_weighted_iou, mean_class_accuracy, mean_iou
from .outcome import Outcome, check_finite
from .segments import segment_metrics

_FRAME_SCORE = 'frame_score'


def stitch(windows: Sequence[tuple[int, Tensor]], num_frames: int) -> Tensor:
    """Scores of a sequence from overlapping windows: the mean of the softmax of all windows that see a frame.

    Args:
        windows: First frame and (T, K) scores of every window; what lies beyond the end does not count.
        num_frames: Length of the sequence.

    Returns:
        (num_frames, K) probabilities.

    Raises:
        ConfigError: A frame is in no window.
    """
    total = windows[0][1].new_zeros(num_frames, windows[0][1].shape[1])
    seen = total.new_zeros(num_frames)
    for start, scores in windows:
        stop = min(start + len(scores), num_frames)
        total[start:stop] += scores[:stop - start].softmax(1)
        seen[start:stop] += 1
    if not bool(seen.all()):
        raise ConfigError(f'frame {int((seen == 0).nonzero()[0])} of a sequence of {num_frames} is in no window; let '
                          'windows overlap or touch')
    return total / seen[:, None]


@METRICS.register_module()
class SegmentationEvaluator(BaseMetric):
    """Frame-wise and segmental accuracy in percent of the test part, or of everything without a split.

    ``accuracy``, ``mean_class_accuracy``, ``miou`` and ``fwiou`` count all frames, background as a class of its own;
    ``edit`` and ``f1@10``, ``f1@25``, ``f1@50`` count segments of actions (Lea et al., CVPR 2017; Farha and Gall, CVPR
    2019). ``majority`` is the accuracy of calling every frame of the test part its commonest class. Data with other
    classes than the model's have no accuracy, which the log says.

    Args:
        classes: Classes that the model tells apart, background the last; those of the data if None. A config that takes
            its model from a checkpoint gets them from the model card.
        collect_device: Where distributed results are gathered.
        prefix: Replaces the default name in front of every metric.

    Attributes:
        timelines: Name of a sequence -> (truth, prediction), each (T,), of the last evaluation.
        outcomes: ``{'frames': what came out for all frames}`` of the last evaluation.
    """

    default_prefix = 'segmentation'

    def __init__(self, classes: Sequence[str] | None = None, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classes = classes
        self.timelines: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.outcomes: dict[str, Outcome] = {}

    @property
    def protocol(self) -> dict[str, Any]:
        """Windows and what counts as background."""
        meta = self.dataset_meta or {}
        return {'evaluator': type(self).__name__, 'window': meta.get('window'), 'background': 'the last class',
                'overlap': 'mean of softmax'}

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Append place, labels and scores of every window."""
        for sample in data_samples:
            if _FRAME_SCORE not in sample['features']:
                raise ConfigError('SegmentationEvaluator: the model gives no scores of frames; use a Segmentor')
            self.results.append({
                'role': sample['role'], 'sequence': sample['sequence'], 'start': sample['start'],
                'label': torch.tensor(sample['label']), 'score': sample['features'][_FRAME_SCORE]})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Put windows together to sequences and compare."""
        self.timelines, self.outcomes = {}, {}
        meta = self.dataset_meta
        if self.classes is not None and tuple(self.classes) != tuple(meta['classes']):
            print_log(f'no accuracy: the {len(meta["classes"])} classes of the data are not the {len(self.classes)} '
                      'of the model', logger='current')
            return {}
        chosen = [record for record in results if record['role'] == QUERY] or results
        by_sequence: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for record in chosen:
            by_sequence[record['sequence']].append(record)
        num_classes = len(meta['classes'])
        probabilities = []
        for sequence, records in by_sequence.items():
            frames = int(meta['frames'][sequence])
            check_finite(type(self).__name__, torch.cat([record['score'] for record in records]))
            scores = stitch([(record['start'], record['score']) for record in records], frames)
            truth = torch.empty(frames, dtype=torch.long)
            for record in records:
                stop = min(record['start'] + len(record['label']), frames)
                truth[record['start']:stop] = record['label'][:stop - record['start']]
            self.timelines[str(meta['names'][sequence])] = truth.numpy(), scores.argmax(1).numpy()
            probabilities.append(scores)
        truths, predictions = zip(*self.timelines.values(), strict=True)
        outcome = Outcome.of(torch.from_numpy(np.concatenate(truths)), torch.cat(probabilities), meta['classes'])
        self.outcomes = {'frames': outcome}
        confusion = outcome.confusion
        shares = {
            'accuracy': accuracy(confusion), 'mean_class_accuracy': mean_class_accuracy(confusion),
            'miou': mean_iou(confusion), 'fwiou': frequency_weighted_iou(confusion),
            **segment_metrics(truths, predictions, background=(num_classes - 1,)),
            'majority': (confusion.sum(1).max() / confusion.sum()).item()}
        return {name: 100 * value for name, value in shares.items()}
