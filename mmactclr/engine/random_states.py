"""Torch's, numpy's and Python's own random generators as bytes."""
import random
import struct
from typing import cast

import numpy as np
import torch
from torch import Tensor

# numpy: 624 words of 32 bits, position, whether a normal number is kept, that number; Python: 625 words, likewise
_NUMPY, _PYTHON = '<624Iqqd', '<625Iqd'


def capture_random() -> Tensor:
    """States of the global generators of this process, of its current GPU too; 1-D uint8.

    Steps of this package draw from none of them. Models, datasets and samplers of a user's may.
    """
    _, key, position, has_normal, normal = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())
    _, words, kept = random.getstate()
    numbers = struct.pack(_NUMPY, *key.tolist(), position, has_normal, normal)
    numbers += struct.pack(_PYTHON, *words, kept is not None, kept or 0.0)
    parts = [torch.frombuffer(bytearray(numbers), dtype=torch.uint8), torch.get_rng_state()]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_rng_state())
    return torch.cat(parts)


def restore_random(state: Tensor) -> None:
    """Bring the generators back to what :func:`capture_random` returned.

    A state of the GPU is left out where there is none, and kept as it is where the file has none.
    """
    content = state.cpu()
    numpy_size, python_size = struct.calcsize(_NUMPY), struct.calcsize(_PYTHON)
    raw = content[:numpy_size + python_size].numpy().tobytes()
    *key, position, has_normal, normal = struct.unpack(_NUMPY, raw[:numpy_size])
    np.random.set_state(('MT19937', np.array(key, np.uint32), position, has_normal, normal))
    *words, has_kept, kept = struct.unpack(_PYTHON, raw[numpy_size:])
    random.setstate((3, tuple(words), kept if has_kept else None))
    size = torch.get_rng_state().numel()
    own, gpu = content[len(raw):len(raw) + size], content[len(raw) + size:]
    torch.set_rng_state(own.clone())
    if len(gpu) and torch.cuda.is_available():
        torch.cuda.set_rng_state(gpu.clone())
