"""Batch norm in training over rows that stand for several, and over the batches of all processes."""
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, all_reduce, get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def counted_batch_norm(norm: _BatchNorm, x: Tensor, copies: int) -> Tensor:
    """What a batch norm in training mode makes of ``x`` if its last row were there ``copies`` times.

    Statistics, gradients and running statistics are those of all rows, each of which is computed once; of all
    processes if the norm is synchronised, see :func:`synchronise_batch_norms`.

    Args:
        norm: Batch norm with affine parameters and running statistics, in training mode.
        x: (P, C, ...) rows.
        copies: How many rows the last one stands for.

    Returns:
        Tensor of the shape of ``x``.
    """
    shared = isinstance(norm, _Synchronised) and get_world_size() > 1
    if copies == 1 and not shared:
        return _BatchNorm.forward(norm, x)
    out, mean, variance, total = _CountedNorm.apply(x, norm.weight, norm.bias, norm.eps, copies, shared)
    with torch.no_grad():
        if norm.num_batches_tracked is None or norm.running_mean is None or norm.running_var is None \
                or norm.momentum is None:
            raise ValueError('batch norm without running statistics, or with a cumulative mean, has no counted form')
        norm.num_batches_tracked += 1
        # data, as graphs of other passes hold the running statistics without a need for their values
        norm.running_mean.data.lerp_(mean.to(norm.running_mean), norm.momentum)
        norm.running_var.data.lerp_((variance * (total / (total - 1))).to(norm.running_var), norm.momentum)
    return out


class _Synchronised(_BatchNorm):
    """Batch norm whose statistics are those of the batches of all processes, on GPUs and CPUs alike."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (P, C, ...)."""
        return counted_batch_norm(self, x, 1) if self.training else super().forward(x)

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions from two on; channels are the second."""


def synchronise_batch_norms(module: nn.Module) -> int:
    """Make all batch norms of a module take their statistics over all processes; the number of them.

    Parameters, buffers and their names stay what they are. In one process nothing changes.
    """
    found = 0
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, _Synchronised):
            norm = _Synchronised(child.num_features, child.eps, child.momentum, child.affine,
                                 child.track_running_stats)
            norm.__dict__.update(child.__dict__)
            setattr(module, name, norm)
            found += 1
        else:
            found += synchronise_batch_norms(child)
    return found


def _statistics(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel, in the precision of ``like``."""
    # running statistics that nobody reads: they tell the kernel to add up in full precision
    return torch.batch_norm_update_stats(x, torch.zeros_like(like), torch.zeros_like(like), 0.)


def _join(mean: Tensor, variance: Tensor, count: float) -> tuple[Tensor, Tensor, float]:
    """Mean, variance and number of the values of all processes from those of each."""
    parts = torch.stack(all_gather(torch.cat([mean, variance, mean.new_tensor([count])]).double()))
    counts = parts[:, -1:]
    means, variances = parts[:, :-1].chunk(2, dim=1)
    total = counts.sum()
    joined = (counts * means).sum(0) / total
    spread = (counts * (variances + (means - joined).square())).sum(0) / total
    return joined.to(mean), spread.to(variance), float(total)


class _CountedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, copies: int, shared: bool
                ) -> tuple[Tensor, Tensor, Tensor, float]:
        mean, variance = _statistics(x, weight)
        rows = len(x) - 1 + copies
        total: float = rows * (x.numel() // (len(x) * x.shape[1]))
        if copies > 1:
            last_mean, last_variance = _statistics(x[-1:], weight)
            # what the copies that are not there add: means and variances of parts make up those of the whole
            extra = (copies - 1) / rows
            apart = last_mean - mean
            variance = torch.lerp(variance, last_variance, extra) + extra * (1 - extra) * apart.square()
            mean = mean + extra * apart
        if shared:
            mean, variance, total = _join(mean, variance, total)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.copies, ctx.shared, ctx.total = eps, copies, shared, total
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0., eps), mean, variance, total

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        # with the statistics as constants: the gradient of the last row is the sum of those of its copies already
        dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True])
        moved = torch.stack([dweight, dbias])
        if ctx.shared:
            all_reduce(moved)
        # and through them: every position moves mean and variance, an affine function of x
        moved = moved * (weight * (variance + ctx.eps).rsqrt() / ctx.total)
        through = F.batch_norm(x, mean, variance, moved[0], moved[1], False, 0., ctx.eps)
        through[-1] *= ctx.copies
        return dx.sub_(through), dweight, dbias, None, None, None
