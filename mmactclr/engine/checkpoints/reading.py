"""Reading checkpoints without executing anything, and refusing those that do not fit the model."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError, DataError

# parts of a model that decide what its features are: more of them in a file means another architecture
_ENCODER = {'backbone', 'projector'}


def require_file(path: str | Path, what: str) -> Path:
    """The path, if there is such a file.

    Raises:
        DataError: If there is not; the message lists the checkpoints beside it.
    """
    path = Path(path)
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
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # the restricted unpickler raises whatever the bytes make it do
        raise DataError(
            f'checkpoint {str(path)!r} cannot be read ({type(error).__name__}): it was cut short, is no checkpoint, or '
            'holds objects besides tensors and plain values, which are never executed; expected a file as '
            'WORK_DIR/epoch_N.pth of tools/train.py') from error
    if not isinstance(checkpoint, dict) or not any(torch.is_tensor(value) for value in state_of(checkpoint).values()):
        raise DataError(f'checkpoint {str(path)!r} holds no weights (found {type(checkpoint).__name__}); expected a '
                        "dict with 'state_dict', as tools/train.py writes it")
    return checkpoint


def state_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, without the prefix that a distributed wrapper adds."""
    state = checkpoint.get('state_dict', checkpoint)
    return {name.removeprefix('module.'): value for name, value in state.items()}


def check_fit(model: nn.Module, state: Mapping[str, Tensor], source: str, trained_only: bool = False) -> None:
    """Refuse weights that would leave a part of the model as it was initialised.

    Buffers of the method (memory, anchor) may be missing: they fill themselves.

    Args:
        model: Model that the weights are meant for.
        state: Weights by name.
        source: Name of the file, for the message.
        trained_only: Look at the parameters that are trained and leave out the key encoders, as evaluation
            does not need them.

    Raises:
        ConfigError: If a parameter is missing or has another shape, or the file's encoder has more parts.
    """
    own = model.state_dict()
    needed = [name for name, parameter in model.named_parameters() if parameter.requires_grad or not trained_only]
    missing = [name for name in needed if name not in state]
    shapes = [f'{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}' for name in needed
              if name in state and state[name].shape != own[name].shape]
    surplus = [name for name in state if name not in own and _ENCODER & set(name.split('.'))]
    found = [f'{len(names)} {what} (first: {names[0]})' for names, what in (
        (missing, 'parameters of the model are missing'), (shapes, 'have another shape'),
        (surplus, 'have no place in the model')) if names]
    if found:
        raise ConfigError(f'checkpoint {source!r} does not fit the model of the config: {"; ".join(found)}. Use the '
                          'config it was trained with: algorithm, layout and backbone must be the same')
