"""First-in, first-out memory of key projections."""
import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError


class MemoryBank(nn.Module):
    """FIFO memory M of unit-length keys (section 2 of the method; MoCo, He et al., CVPR 2020).

    Only keys that were really enqueued count: an untouched slot is never a negative. Sizes that no
    batch divides wrap around.

    Args:
        size: Number of keys K.
        dim: Width D of a key.

    Attributes:
        keys: (K, D) float32 buffer.
        pointer: Slot that the next key enters, int64 scalar buffer.
        filled: Number of slots that hold a key, int64 scalar buffer.
    """

    keys: Tensor
    pointer: Tensor
    filled: Tensor

    def __init__(self, size: int = 8192, dim: int = 128) -> None:
        super().__init__()
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f'MemoryBank: size is {size!r}, expected a whole number of at least 1')
        self.size, self.dim = size, dim
        self.register_buffer('keys', torch.zeros(size, dim))
        self.register_buffer('pointer', torch.zeros((), dtype=torch.long))
        self.register_buffer('filled', torch.zeros((), dtype=torch.long))

    def valid(self) -> Tensor:
        """The keys enqueued so far, (filled, D)."""
        return self.keys[:int(self.filled)]

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by ``keys`` (N, D), first row oldest."""
        keys = keys[-self.size:].to(self.keys.dtype)
        slots = (int(self.pointer) + torch.arange(len(keys), device=self.keys.device)) % self.size
        self.keys[slots] = keys
        self.pointer.fill_((int(self.pointer) + len(keys)) % self.size)
        self.filled.fill_(min(self.size, int(self.filled) + len(keys)))
