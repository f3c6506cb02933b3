"""Trained models in a script of the user's."""
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from mmactclr.engine.checkpoints import check_fit, read_checkpoint, state_of
from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm, MoCo
from mmactclr.registry import MODELS
from mmactclr.utils import load_config

from .run import explain_build_errors


def init_model(config: str | Path | Config, checkpoint: str | Path | None = None,
               device: str | torch.device = 'cpu') -> nn.Module:
    """Build the model of a config in eval mode.

    Args:
        config: Path or name of a config, or a loaded one.
        checkpoint: Weights to load; freshly initialised weights if None.
        device: Where the model is put.

    Raises:
        ConfigError: If the config does not exist or the checkpoint belongs to another model.
        DataError: If the checkpoint does not exist or cannot be read.

    Example:
        >>> model = init_model('moco_joint_synthetic_xsub')
        >>> joints = torch.zeros(1, 2, 32, 25, 3)
        >>> features = model.extract(joints, torch.ones(1, 2, dtype=torch.bool))
        >>> features['projection'].shape
        torch.Size([1, 64])
    """
    cfg = config if isinstance(config, Config) else load_config(config)
    if 'model' not in cfg:
        raise ConfigError(f"{cfg.filename or 'the config'}: field 'model' is missing; build models "
                          'from a leaf config, not from one of configs/_base_')
    with explain_build_errors(cfg.filename):
        model = MODELS.build(cfg.model)
    if checkpoint is None:
        model.init_weights()
    else:
        load_weights(model, checkpoint)
    return model.to(device).eval()


def load_weights(model: nn.Module, checkpoint: str | Path) -> None:
    """Load a checkpoint; buffers that a run fills by itself and key encoders may be missing in it.

    A key encoder that is missing becomes a copy of the online one.

    Raises:
        DataError: If the file does not exist, is damaged or is no checkpoint.
        ConfigError: If names or shapes do not fit the model; the message names the first of them.
    """
    state = state_of(read_checkpoint(checkpoint))
    check_fit(model, state, str(checkpoint), trained_only=True)
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        # a buffer, the static anchor for one, is of another size
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise ConfigError(f'checkpoint {str(checkpoint)!r} does not fit the model of the config: '
                          f'{lines[0]} Use num_frames, max_persons and layout of its training'
                          ) from error
    if isinstance(model, BaseAlgorithm):
        _complete_keys(model, state, str(checkpoint))


def _complete_keys(model: BaseAlgorithm, state: Mapping[str, Tensor], source: str) -> None:
    absent = {id(parameter) for name, parameter in model.named_parameters() if name not in state}
    for stream, branch in model.branches().items():
        if isinstance(branch, MoCo) and any(id(parameter) in absent for parameter in branch.parameters()):
            print_log(f'{source}: no key encoder of stream {stream!r}; copied from the online encoder',
                      logger='current')
            branch.copy_to_key()
