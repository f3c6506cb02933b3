"""Seeds as pure functions of what they are for, so that nothing has to be restored after a resume."""
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(purpose: str, *parts: int | str) -> int:
    """A 63-bit seed from a purpose and numbers; the same on every machine and in every process."""
    text = '/'.join([purpose, *map(str, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big') >> 1


@contextmanager
def seeded_rng(seed: int) -> Iterator[None]:
    """Run a block under its own state of torch's random generators and leave the global one untouched."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
