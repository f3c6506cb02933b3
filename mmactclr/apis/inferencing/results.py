"""What inference says of one recording."""
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Inference:
    """What a model says of one recording of T frames and M persons.

    Attributes:
        name: Of the recording.
        embedding: (D,) float32 feature of the recording; of several windows, the mean of their unit-length features.
        classes: Names of the classes; empty where the model has no classifier.
        score: (K,) float32 share of every class, adding up to one; None without a classifier.
        frame_score: (T, K) the same for every frame, where there are windows or the model scores frames; else None.
        actionlet: (M, T, V) from 0 to 1, relative to its maximum: how much a joint belongs to the actionlet at a
            frame; None where the model finds none. Persons are those of the recording, one who was not looked at has
            zero; of fewer than the model takes, the rest are zero.
        windows: (W, 2) first frame of every window and the one after its last.
        window_embedding: (W, D) feature of every window.
        notes: What was done to the recording, a few words each.
    """

    name: str
    embedding: np.ndarray
    classes: tuple[str, ...] = ()
    score: np.ndarray | None = None
    frame_score: np.ndarray | None = None
    actionlet: np.ndarray | None = None
    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    window_embedding: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str | None:
        """Name of the class with the highest score, None without a classifier."""
        return None if self.score is None else self.classes[int(self.score.argmax())]

    @property
    def frame_labels(self) -> list[str] | None:
        """Name of the class of every frame, None where frames have no scores."""
        return None if self.frame_score is None else [self.classes[k] for k in self.frame_score.argmax(1)]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The classes with the highest scores, best first; none without a classifier."""
        if self.score is None:
            return []
        order = np.argsort(-self.score, kind='stable')[:count]
        return [(self.classes[k], float(self.score[k])) for k in order]

    def segments(self) -> list[tuple[int, int, str]]:
        """Runs of frames with the same label, (first, one after the last, class)."""
        labels = self.frame_labels
        if not labels:
            return []
        starts = [i for i in range(len(labels)) if i == 0 or labels[i] != labels[i - 1]]
        return [(start, end, labels[start]) for start, end in zip(starts, [*starts[1:], len(labels)], strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: everything but actionlet, embeddings and scores of frames."""
        return dict(name=self.name, label=self.label, top=[dict(label=name, score=score) for name, score in self.top()],
                    segments=[dict(start=a, end=b, label=label) for a, b, label in self.segments()],
                    windows=self.windows.tolist(), notes=list(self.notes))
