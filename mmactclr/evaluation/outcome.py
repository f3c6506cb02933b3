"""What came out of an evaluation beyond one number: truth and probabilities of everything that was tested."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.errors import DataError

from .metrics import calibration_error, class_accuracy, confusion_matrix, mean_class_accuracy


@dataclass(frozen=True)
class Outcome:
    """Classes and probabilities of the test part.

    Attributes:
        truth: (N,) labels, from zero.
        probabilities: (N, K) of the classes, rows add up to one.
        classes: Names of the K classes.
    """

    truth: Tensor
    probabilities: Tensor
    classes: tuple[str, ...]

    @classmethod
    def of(cls, truth: Tensor, probabilities: Tensor, classes: Sequence[str] = ()) -> 'Outcome':
        """Bring everything to one number of classes.

        A class that no score was given for, as the training part lacks it, has probability zero; a class without a
        name is called by its number.
        """
        count = max(len(classes), probabilities.shape[1], int(truth.max()) + 1)
        names = (*classes, *(f'class_{k}' for k in range(len(classes), count)))
        return cls(truth, F.pad(probabilities, (0, count - probabilities.shape[1])), names)

    @property
    def confusion(self) -> Tensor:
        """(K, K) int64, rows are the truth."""
        return confusion_matrix(self.truth, self.probabilities.argmax(1), len(self.classes))

    @property
    def class_accuracy(self) -> dict[str, float]:
        """Share in percent of right ones of every class that the test part has."""
        shares = class_accuracy(self.confusion)
        return {name: 100 * value for name, value in zip(self.classes, shares.tolist(), strict=True)
                if value == value}

    def summary(self) -> dict[str, Any]:
        """``count`` N, ``mean_class_accuracy`` in percent, ``calibration_error`` from 0 to 1, ``class_accuracy``."""
        return {'count': len(self.truth), 'mean_class_accuracy': 100 * mean_class_accuracy(self.confusion),
                'calibration_error': calibration_error(self.probabilities, self.truth),
                'class_accuracy': self.class_accuracy}


def check_finite(who: str, scores: Tensor) -> None:
    """Refuse scores that are no numbers, of which one class would win all the same.

    Raises:
        DataError: If one is not finite; ``who`` is named in the message.
    """
    wrong = ~torch.isfinite(scores).flatten(1).all(1)
    if wrong.any():
        raise DataError(f'{who}: {int(wrong.sum())} of {len(scores)} have numbers that are not finite (NaN or '
                        'infinite): the model has diverged: train with a lower optim_wrapper.optimizer.lr')


def vote_shares(scores: Tensor) -> Tensor:
    """Rows of non-negative scores (N, K) brought to a sum of one."""
    return scores / scores.sum(1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)
