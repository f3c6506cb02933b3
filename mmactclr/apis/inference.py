"""Trained models in a script of the user's."""
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from mmactclr.engine.checkpoints import FROM_CHECKPOINT, ModelCard, check_fit, read_checkpoint, state_of
from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm, MoCo
from mmactclr.registry import MODELS
from mmactclr.utils import load_config
from mmactclr.utils.zoo import list_zoo

from .faults import explain_faults
from .run import explain_build_errors, take_model

# suffixes of files that hold weights
_WEIGHTS = ('.pth', '.pt', '.ckpt')


def init_model(config: str | Path | Config | None = None, checkpoint: str | Path | None = None,
               device: str | torch.device = 'cpu') -> BaseAlgorithm:
    """Build a model in eval mode, from a config, from published weights or from what a checkpoint says of itself.

    Args:
        config: Path or name of a config, or a loaded one; None takes the model of the checkpoint's card. Alone, the
            name of published weights (``list_models(pretrained=True)``) is the model with these weights.
        checkpoint: File or name of the weights to load; freshly initialised weights if None.
        device: Where the model is put.

    Returns:
        The model; its attribute ``card`` is the :class:`ModelCard` of the checkpoint, None where there is none.

    Raises:
        ConfigError: If the config does not exist, the device cannot be used, the checkpoint belongs to another model,
            or neither a config nor a card says which model to build.
        DataError: If the checkpoint does not exist or cannot be read, or its weights or card are damaged.

    Example:
        >>> model = init_model('moco_joint_synthetic_xsub')
        >>> joints = torch.zeros(1, 2, 32, 25, 3)
        >>> features = model.extract(joints, torch.ones(1, 2, dtype=torch.bool))
        >>> features['projection'].shape
        torch.Size([1, 64])
        >>> init_model('actclr_joint_synthetic').card.num_frames
        32
    """
    if isinstance(config, (str, Path)) and Path(config).suffix in _WEIGHTS:
        raise ConfigError(f'init_model: {str(config)!r} holds weights and was given as the config; write '
                          'init_model(checkpoint=...)')
    device = _usable(device)
    if checkpoint is None and isinstance(config, str) and config in list_zoo() and not Path(config).is_file():
        config, checkpoint = None, config
    cfg = config if config is None or isinstance(config, Config) else load_config(config)
    if checkpoint is None:
        model = _build(cfg, None, '')
        model.init_weights()
        model.card = None
    else:
        content, source = read_checkpoint(checkpoint), str(checkpoint)
        card = ModelCard.of(content, source)
        if cfg is None and card is None and any(name.startswith('encoder_q') for name in state_of(content)):
            raise ConfigError(f'checkpoint {source!r} holds public weights of the ActCLR / AimCLR / CrosSCLR code '
                              'family; convert them first: tools/model_converters/official_to_mmactclr.py')
        model = _build(cfg, card, source)
        _load_state(model, state_of(content), source, card)
        model.card = card
    return model.to(device).eval()


def _usable(device: str | torch.device) -> torch.device:
    try:
        return torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f'device {str(device)!r} cannot be used here ({str(error).splitlines()[0]}); cpu always '
                          'can') from error


def load_for_test(config: str | Path, checkpoint: str | Path, options: Mapping[str, Any] | None = None,
                  device: str | torch.device = 'cpu') -> tuple[nn.Module, Config]:
    """A trained model and the config of the data it is looked at on.

    Args:
        config: Path or name of a config; with ``model='checkpoint'`` the model is that of the checkpoint's card.
        checkpoint: Weights to load.
        options: Overrides by dotted key.
        device: Where the model is put.

    Raises:
        ConfigError: As :func:`init_model`.
        DataError: As :func:`init_model`.
    """
    cfg = load_config(config, options)
    take_model(cfg, ModelCard.of(read_checkpoint(checkpoint), str(checkpoint)), str(checkpoint), options)
    return init_model(cfg, checkpoint, device), cfg


def _build(cfg: Config | None, card: ModelCard | None, source: str) -> BaseAlgorithm:
    """The model of a config, or of a card where the config names none."""
    name = cfg.filename or 'the config' if cfg is not None else None
    if cfg is not None and 'model' not in cfg:
        raise ConfigError(f"{name}: field 'model' is missing; build models from a leaf config, not from one of "
                          'configs/_base_')
    if cfg is not None and cfg.model != FROM_CHECKPOINT:
        with explain_faults(), explain_build_errors(cfg.filename, cfg):
            return MODELS.build(cfg.model)
    if not source:
        raise ConfigError(f"{name}: model='{FROM_CHECKPOINT}' needs a checkpoint" if name else
                          'init_model needs a config, a checkpoint or both; found neither')
    if card is None:
        raise ConfigError(f'checkpoint {source!r} has no model card, so nothing says which model it is of; name the '
                          'config it was trained with: init_model(CONFIG, CHECKPOINT)')
    return cast(BaseAlgorithm, card.build(source))


def _load_state(model: nn.Module, state: Mapping[str, Tensor], source: str, card: ModelCard | None) -> None:
    """Copy weights into a model; buffers that a run fills by itself and key encoders may be missing in them.

    A key encoder that is missing becomes a copy of the online one.

    Raises:
        ConfigError: If names or shapes do not fit the model; the message names the first of them.
        DataError: If the weights are damaged.
    """
    check_fit(model, state, source, trained_only=True, card=card)
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        # a key encoder, which evaluation does not need to be there, is of another shape
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise ConfigError(f'checkpoint {source!r} does not fit the model of the config: {lines[0]} Use the config it '
                          'was trained with') from error
    if isinstance(model, BaseAlgorithm):
        _complete_keys(model, state, source)


def _complete_keys(model: BaseAlgorithm, state: Mapping[str, Tensor], source: str) -> None:
    absent = {id(parameter) for name, parameter in model.named_parameters() if name not in state}
    for stream, branch in model.branches().items():
        if isinstance(branch, MoCo) and any(id(parameter) in absent for parameter in branch.parameters()):
            print_log(f'{source}: no key encoder of stream {stream!r}; copied from the online encoder',
                      logger='current', level=logging.DEBUG)
            branch.copy_to_key()
