"""Distillation of similarities: a teacher says how near its nearest keys are, a student follows over its own memory."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.registry import MODELS


def neighbour_distillation(student: Tensor, teacher: Tensor, tau_student: float, tau_teacher: float,
                           top_k: int) -> Tensor:
    """KL divergence from teacher to student over the teacher's nearest keys, of CMD (Mao et al., ECCV 2022).

    With J the columns of the teacher's ``top_k`` largest similarities,
    ``KL(softmax(teacher[J] / tau_teacher) || softmax(student[J] / tau_student))``: the neighbouring similarity
    distribution of cross-modal mutual distillation.

    Args:
        student: (N, K) similarities of a query to the memory of its stream; K may be zero.
        teacher: (N, K) similarities of another stream's key to that stream's memory, column by column of the same
            sequences; no gradient flows into them.
        tau_student: Temperature of the student.
        tau_teacher: Temperature of the teacher, lower than ``tau_student``.
        top_k: Columns to compare over; all K where there are fewer.

    Returns:
        Mean loss over the batch, a scalar.
    """
    with torch.no_grad():
        nearest, columns = teacher.topk(min(top_k, teacher.shape[1]), dim=1)
        log_teacher = F.log_softmax(nearest / tau_teacher, dim=1)
    log_student = F.log_softmax(student.gather(1, columns) / tau_student, dim=1)
    return F.kl_div(log_student, log_teacher, reduction='batchmean', log_target=True)


@MODELS.register_module()
class NeighbourDistillationLoss(nn.Module):
    """Module form of :func:`neighbour_distillation`; the defaults are those of CMD's authors.

    Args:
        tau_student: Temperature of the student.
        tau_teacher: Temperature of the teacher.
        top_k: Columns to compare over; half of the memory in their code.

    Raises:
        ConfigError: If one of them is not positive.
    """

    def __init__(self, tau_student: float = 0.1, tau_teacher: float = 0.05, top_k: int = 8192) -> None:
        super().__init__()
        for name, value in dict(tau_student=tau_student, tau_teacher=tau_teacher, top_k=top_k).items():
            if value <= 0:
                raise ConfigError(f'NeighbourDistillationLoss: {name} is {value}, expected a positive number')
        self.tau_student, self.tau_teacher, self.top_k = tau_student, tau_teacher, top_k

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of (N, K) similarities of students and teachers over aligned memories; a scalar."""
        return neighbour_distillation(student, teacher, self.tau_student, self.tau_teacher, self.top_k)
