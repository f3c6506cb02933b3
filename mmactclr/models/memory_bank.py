"""First-in, first-out memory of key projections."""
import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError


class MemoryBank(nn.Module):
    """FIFO memory M of unit-length keys (section 2 of the method; MoCo, He et al., CVPR 2020).

    Only keys that were really enqueued count: an untouched slot is never a negative. Sizes that no
    batch divides wrap around.

    With ``by_archive`` each key keeps the archive that its sequence comes from, and a sequence is compared with keys of
    its own archive alone: recordings of one set-up differ from those of another by their joints and proportions, so
    that telling these apart is easy and teaches nothing about motion.

    Args:
        size: Number of keys K.
        dim: Width D of a key.
        by_archive: Keep apart what comes from different archives.

    Attributes:
        keys: (K, D) float32 buffer.
        pointer: Slot that the next key enters, int64 scalar buffer.
        filled: Number of slots that hold a key, int64 scalar buffer.
        archives: (K,) int64 buffer with ``by_archive``: the archive of each key.
    """

    keys: Tensor
    pointer: Tensor
    filled: Tensor
    archives: Tensor

    def __init__(self, size: int = 8192, dim: int = 128, by_archive: bool = False) -> None:
        super().__init__()
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f'MemoryBank: size is {size!r}, expected a whole number of at least 1')
        self.size, self.dim, self.by_archive = size, dim, by_archive
        self.register_buffer('keys', torch.zeros(size, dim))
        self.register_buffer('pointer', torch.zeros((), dtype=torch.long))
        self.register_buffer('filled', torch.zeros((), dtype=torch.long))
        if by_archive:
            self.register_buffer('archives', torch.zeros(size, dtype=torch.long))

    def valid(self, archive: int | None = None) -> Tensor:
        """The keys enqueued so far, (filled, D), or those of one archive."""
        keys = self.keys[:int(self.filled)]
        return keys if archive is None else keys[self.archives[:int(self.filled)] == archive]

    @torch.no_grad()
    def enqueue(self, keys: Tensor, archives: Tensor | None = None) -> None:
        """Replace the oldest keys by ``keys`` (N, D), first row oldest; with ``by_archive`` of ``archives`` (N,).

        Raises:
            ConfigError: These are missing.
        """
        if self.by_archive and archives is None:
            raise ConfigError('MemoryBank: by_archive is True, but the keys come without their archives; pass '
                              'enqueue(keys, archives)')
        keys = keys[-self.size:].to(self.keys.dtype)
        slots = (int(self.pointer) + torch.arange(len(keys), device=self.keys.device)) % self.size
        self.keys[slots] = keys
        if archives is not None and self.by_archive:
            self.archives[slots] = archives[-self.size:].to(self.archives.device)
        self.pointer.fill_((int(self.pointer) + len(keys)) % self.size)
        self.filled.fill_(min(self.size, int(self.filled) + len(keys)))
