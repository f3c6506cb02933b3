"""Transforms of time: crop, window, blur, reversal, change of tempo.

Source: Lin et al., CVPR 2023, supplement (list of transformations); the constants are those of
their public code.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.registry import TRANSFORMS

from .base import SkeletonTransform, change_picked, per_sample


def take_frames(x: Tensor, frames: Tensor) -> Tensor:
    """Pick frames sample by sample: (N, M, T, V, C) and (N, S) int64 -> (N, M, S, V, C)."""
    n, m, t, v, c = x.shape
    first = torch.arange(n * m, device=x.device).view(n, m, 1) * t
    rows = (first + frames.to(x.device)[:, None]).flatten()
    return x.reshape(n * m * t, v * c).index_select(0, rows).view(n, m, -1, v, c)


def sample_frames(x: Tensor, position: Tensor, length: Tensor | None = None) -> Tensor:
    """Read a sequence at fractional frame positions, linearly, clamped at both ends.

    Args:
        x: Sequences, (N, M, T, V, C).
        position: Where to read, in frames, (N, S); frame 0 is at 0.
        length: Frames that count in each sequence, (N,); all T if None.

    Returns:
        (N, M, S, V, C).
    """
    last = torch.full_like(position, x.shape[2] - 1)
    if length is not None:
        last = last.minimum(length[:, None].to(position) - 1)
    position = position.clamp_min(0).minimum(last)
    left = position.floor()
    right = (left + 1).minimum(last)
    weight = (position - left).to(x)[:, None, :, None, None]
    return take_frames(x, left.long()).lerp(take_frames(x, right.long()), weight)


def half_pixel_centres(num_frames: int, length: Tensor) -> Tensor:
    """Positions that resize ``length`` (N,) frames to ``num_frames``, (N, num_frames) float32.

    Frame t of the result covers the t-th of ``num_frames`` equal pieces of the sequence and is
    read at its middle.
    """
    t = torch.arange(num_frames, device=length.device, dtype=torch.float32)
    return (t + 0.5) * (length[:, None].float() / num_frames) - 0.5


def mirror(frames: Tensor, num_frames: int) -> Tensor:
    """Fold frame numbers beyond the ends back into the sequence, edge frame included (-1 -> 0)."""
    frames = frames.remainder(2 * num_frames)
    return torch.minimum(frames, 2 * num_frames - 1 - frames)


def gaussian_kernel(sigma: Tensor, size: int, normalise: bool = True) -> Tensor:
    """Sampled Gaussians, one for each standard deviation in frames: (N,) -> (N, size)."""
    offset = torch.arange(size, device=sigma.device, dtype=sigma.dtype) - size // 2
    kernel = torch.exp(-0.5 * (offset / sigma[:, None]).square())
    return kernel / kernel.sum(1, keepdim=True) if normalise else kernel


def filter_frames(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate each sample with its own kernel along time, mirrored at the ends.

    Args:
        x: Sequences, (N, M, T, V, C).
        kernel: Odd-sized kernels, (N, K).

    Returns:
        (N, M, T, V, C).
    """
    n, m, t, v, c = x.shape
    size = kernel.shape[1]
    frames = torch.arange(t, device=x.device)
    source = mirror(frames[:, None] + torch.arange(size, device=x.device) - size // 2, t)
    # a (T, T) matrix per sample: one batched product instead of a grouped convolution
    matrix = x.new_zeros(n, t, t).scatter_add_(
        2, source.expand(n, t, size), kernel.to(x)[:, None].expand(n, t, size).contiguous())
    return torch.matmul(matrix[:, None], x.reshape(n, m, t, v * c)).view_as(x)


@TRANSFORMS.register_module()
class RandomTemporalCrop(SkeletonTransform):
    """Mirror-pad both ends, edge frame included, and keep a random window of the same length T.

    Args:
        pad_divisor: T // pad_divisor frames are padded at each end.
    """

    keeps_zero = True

    def __init__(self, pad_divisor: int = 6) -> None:
        if pad_divisor < 1:
            raise ConfigError(f'RandomTemporalCrop: pad_divisor is {pad_divisor}, expected >= 1')
        self.pad_divisor = pad_divisor

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Shift the window of every sample by up to T // pad_divisor frames."""
        t = keypoint.shape[2]
        pad = t // self.pad_divisor
        shift = self.random(results).integers(-pad, pad + 1)
        return take_frames(keypoint, mirror(shift[:, None] + torch.arange(t), t))


@TRANSFORMS.register_module()
class RandomWindow(SkeletonTransform):
    """Keep a random share of the sequence and resize it back to its length, linearly.

    Args:
        low: Smallest share of the length.
        high: Largest share of the length.
    """

    keeps_zero = True

    def __init__(self, low: float = 0.4, high: float = 1.) -> None:
        if not 0 < low <= high <= 1:
            raise ConfigError(f'RandomWindow: low, high are {low}, {high}, expected '
                              '0 < low <= high <= 1')
        self.low, self.high = low, high

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Read T frames from a window of every sample."""
        t = keypoint.shape[2]
        random = self.random(results)
        length = random.uniform(low=self.low, high=self.high) * t
        start = random.uniform() * (t - length)
        return sample_frames(keypoint, (start[:, None] + half_pixel_centres(t, length)
                                        ).to(keypoint.device))


@TRANSFORMS.register_module()
class GaussianBlur(SkeletonTransform):
    """Smooth over time with a Gaussian of random width.

    Args:
        kernel_size: Frames of the kernel, odd.
        sigma: Range of the standard deviation, in frames.
        p: Probability for each sample.
        normalise: Whether the kernel sums to one. The authors' release forgets it, so that its
            blur also enlarges the skeleton 1 to 5 times.
    """

    keeps_zero = True

    def __init__(self, kernel_size: int = 15, sigma: tuple[float, float] = (0.1, 2.),
                 p: float = 0.5, normalise: bool = True) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f'GaussianBlur: kernel_size is {kernel_size}, expected an odd number')
        if not 0 < sigma[0] <= sigma[1]:
            raise ConfigError(f'GaussianBlur: sigma is {sigma}, expected 0 < low <= high')
        self.kernel_size, self.sigma, self.p = kernel_size, tuple(sigma), p
        self.normalise = normalise

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Blur the chosen samples."""
        random = self.random(results)
        picked = random.chance(self.p)
        sigma = random.uniform(low=self.sigma[0], high=self.sigma[1])

        def blurred(x: Tensor, rows: Tensor) -> Tensor:
            return filter_frames(x, gaussian_kernel(per_sample(sigma[rows], x), self.kernel_size, self.normalise))

        return change_picked(picked, keypoint, blurred)


@TRANSFORMS.register_module()
class TemporalFlip(SkeletonTransform):
    """Play the sequence backwards. In the papers' lists, in no default of the authors' release.

    Args:
        p: Probability for each sample.
    """

    keeps_zero = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Reverse the frames of the chosen samples."""
        return change_picked(self.random(results).chance(self.p), keypoint, lambda x, _: x.flip(2))


@TRANSFORMS.register_module()
class TimeInterpolate(SkeletonTransform):
    """Play faster or slower: resample to a random length, then cut or zero-pad to T.

    Args:
        low: Smallest new length, in units of T.
        high: Largest new length, in units of T.
        p: Probability for each sample.
    """

    keeps_zero = True

    def __init__(self, low: float = 0.5, high: float = 1.5, p: float = 0.5) -> None:
        if not 0 < low <= high:
            raise ConfigError(f'TimeInterpolate: low, high are {low}, {high}, expected '
                              '0 < low <= high')
        self.low, self.high, self.p = low, high, p

    def apply(self, keypoint: Tensor, results: dict[str, Any]) -> Tensor:
        """Change the tempo of the chosen samples."""
        t = keypoint.shape[2]
        random = self.random(results)
        picked = random.chance(self.p)
        length = (random.uniform(low=self.low, high=self.high) * t).floor().clamp_min(1)
        frames = torch.arange(t, dtype=torch.float32)
        position = (frames + 0.5) * (t / length[:, None]) - 0.5
        inside = (frames < length[:, None]).float()

        def resampled(x: Tensor, rows: Tensor) -> Tensor:
            read = sample_frames(x, position[rows].to(x.device))
            return read * per_sample(inside[rows], x)[:, None, :, None, None]

        return change_picked(picked, keypoint, resampled)
