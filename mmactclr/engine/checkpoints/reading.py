"""Reading checkpoints without executing anything."""
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import DataError


def require_file(path: str | Path, what: str) -> Path:
    """The path, if there is such a file.

    Raises:
        DataError: If there is not, or it is a folder; the message lists the checkpoints there.
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(p.name for p in path.glob('*.pth'))
        raise DataError(f'{what} {str(path)!r} is a folder; name a file in it, {", ".join(inside) or "*.pth"}')
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob('*.pth')) if path.parent.is_dir() else []
        hint = f'that folder holds {", ".join(near)}' if near else 'there is no *.pth file in that folder'
        raise DataError(f'{what} {str(path)!r} does not exist; {hint}')
    return path


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint on the CPU with ``weights_only=True``.

    Raises:
        DataError: If the file does not exist, is damaged, or is no checkpoint.
    """
    path = require_file(path, 'checkpoint')
    try:
        with warnings.catch_warnings():
            # what the restricted reader thinks of the file's pickle format ends in the one line below
            warnings.simplefilter('ignore')
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # the restricted unpickler raises whatever the bytes make it do
        raise DataError(
            f'checkpoint {str(path)!r} cannot be read ({type(error).__name__}): it was cut short, is no checkpoint, or '
            'holds objects besides tensors and plain values, which are never executed; expected a file as '
            'WORK_DIR/epoch_N.pth of tools/train.py') from error
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state) \
            or not any(torch.is_tensor(value) for value in state.values()):
        raise DataError(f'checkpoint {str(path)!r} holds no weights by name (found {type(checkpoint).__name__}); '
                        "expected a dict with 'state_dict', as tools/train.py writes it")
    if 'state_dict' in checkpoint and not isinstance(checkpoint.get('meta', {}), dict):
        raise DataError(f"checkpoint {str(path)!r}: 'meta' is of type {type(checkpoint['meta']).__name__}, expected a "
                        'dict; take an intact copy of the file')
    return checkpoint


def state_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, without the prefix that a distributed wrapper adds."""
    state = checkpoint.get('state_dict', checkpoint)
    return {name.removeprefix('module.'): value for name, value in state.items()}
