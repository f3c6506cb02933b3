"""Batch norm in training over rows of which the last one stands for several equal ones."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def counted_batch_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor, copies: int) -> Tensor:
    """What a batch norm in training mode makes of ``x`` if its last row were there ``copies`` times.

    Statistics, gradients and running statistics are those of all rows, each of which is computed once.

    Args:
        norm: Batch norm with affine parameters and running statistics, in training mode.
        x: (P, C, ...) rows.
        copies: How many rows the last one stands for.

    Returns:
        Tensor of the shape of ``x``.
    """
    if copies == 1:
        return norm(x)
    out, mean, variance = _CountedNorm.apply(x, norm.weight, norm.bias, norm.eps, copies)
    with torch.no_grad():
        total = _positions(x, copies)
        norm.num_batches_tracked += 1
        # data, as graphs of other passes hold the running statistics without a need for their values
        norm.running_mean.data.lerp_(mean.to(norm.running_mean), norm.momentum)
        norm.running_var.data.lerp_((variance * (total / (total - 1))).to(norm.running_var), norm.momentum)
    return out


def _positions(x: Tensor, copies: int) -> int:
    """Numbers of a channel, those of the copies included."""
    return (len(x) - 1 + copies) * x[0, 0].numel()


def _statistics(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel, in the precision of ``like``."""
    # running statistics that nobody reads: they tell the kernel to add up in full precision
    return torch.batch_norm_update_stats(x, torch.zeros_like(like), torch.zeros_like(like), 0.)


class _CountedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float, copies: int) -> tuple[Tensor, ...]:
        mean, variance = _statistics(x, weight)
        last_mean, last_variance = _statistics(x[-1:], weight)
        # what the copies that are not there add: means and variances of parts make up those of the whole
        extra = (copies - 1) / (len(x) - 1 + copies)
        apart = last_mean - mean
        variance = torch.lerp(variance, last_variance, extra) + extra * (1 - extra) * apart.square()
        mean = mean + extra * apart
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.copies = eps, copies
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0., eps), mean, variance

    @staticmethod
    def backward(ctx, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        # with the statistics as constants: the gradient of the last row is the sum of those of its copies already
        dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True])
        # and through them: every position moves mean and variance, an affine function of x
        scale = weight * (variance + ctx.eps).rsqrt() / _positions(x, ctx.copies)
        through = F.batch_norm(x, mean, variance, scale * dweight, scale * dbias, False, 0., ctx.eps)
        through[-1] *= ctx.copies
        return dx.sub_(through), dweight, dbias, None, None
