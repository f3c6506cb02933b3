"""Dropout that costs little: decisions for eight entries come out of one random number."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# a byte of randomness decides on an entry
_LEVELS = 256
_BYTES = 8


class Dropout(nn.Dropout):
    """``nn.Dropout`` from random bytes where its probability is a multiple of 1/256, such as one half.

    Zeroes each entry by itself with exactly that probability and divides the others by the probability of keeping.
    Other probabilities, and devices other than the CPU, whose own dropout is fast, take PyTorch's way.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop entries of a tensor of any shape, in training mode."""
        threshold = self.p * _LEVELS
        if not self.training or threshold in (0, _LEVELS) or threshold != int(threshold) or x.device.type != 'cpu':
            return F.dropout(x, self.p, self.training)
        return _Drop.apply(x, int(threshold))


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        words = torch.empty(-(-x.numel() // _BYTES), dtype=torch.long).random_(-2 ** 63, None)
        factors = torch.empty_like(x)
        _fill_factors(factors, words, threshold)
        ctx.threshold, ctx.stride = threshold, factors.stride()
        # a byte an entry is kept for the backward pass, in place of the factors
        ctx.save_for_backward(words)
        return factors.mul_(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        words, = ctx.saved_tensors
        factors = torch.empty_strided(grad.shape, ctx.stride, dtype=grad.dtype)
        _fill_factors(factors, words, ctx.threshold)
        return factors.mul_(grad), None


def _fill_factors(factors: Tensor, words: Tensor, threshold: int) -> None:
    """Zero, or the inverse of the probability of keeping, in every entry, in the order they lie in memory."""
    flat = factors.as_strided((factors.numel(),), (1,))
    torch.ge(words.view(torch.uint8)[:len(flat)], threshold, out=flat)
    flat.mul_(_LEVELS / (_LEVELS - threshold))
