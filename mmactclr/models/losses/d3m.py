"""Dual distributional divergence minimisation: a normal view teaches extreme ones."""
from typing import cast

from torch import Tensor


def d3m(teacher: Tensor, *students: Tensor) -> Tensor:
    """Cross-entropy ``-sum p(teacher) log p(student)`` of distributions over key and memory.

    Guo et al., *Contrastive Learning from Extremely Augmented Skeleton Sequences*, AAAI 2022, section on dual
    distributional divergence minimization: p = softmax over the key of the sequence and the memory, key included.

    Args:
        teacher: (N, 1 + K) logits of the normal view; no gradient flows into them.
        students: (N, 1 + K) logits of each extreme view.

    Returns:
        Mean over students and batch, a scalar.
    """
    target = teacher.detach().softmax(1)
    terms = [-(target * student.log_softmax(1)).sum(1).mean() for student in students]
    return cast(Tensor, sum(terms)) / len(students)
