"""Keeps checkpoints readable without unpickling code."""
import logging
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmactclr.engine.checkpoints import CARD, ModelCard, card_of_config, check_fit, check_training_state, state_of
from mmactclr.engine.checkpoints.resumption import check_hub
from mmactclr.errors import DataError
from mmactclr.models import BaseAlgorithm
from mmactclr.registry import HOOKS
from mmactclr.structures import Layout

_HISTORY = 'HistoryBuffer'
_UNTOUCHED = ('state_dict', 'optimizer')


def to_plain(value: Any) -> Any:
    """Turn log histories, numpy values, parts of configs, paths and layouts into tensors and plain Python, recursively.

    Only exact ``dict`` and ``OrderedDict`` are rebuilt: a rebuilt ``Counter`` (the milestones of a
    schedule) would lose its type and with it the decay.
    """
    if isinstance(value, HistoryBuffer):
        return {_HISTORY: torch.from_numpy(np.asarray(value._log_history, dtype=np.float64).copy()),
                'count': torch.from_numpy(np.asarray(value._count_history, dtype=np.int64).copy()),
                'max_length': int(value.max_length)}
    if isinstance(value, Layout):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy()) if value.dtype.kind in 'biuf' else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, ConfigDict):
        return {key: to_plain(item) for key, item in value.to_dict().items()}
    if type(value) in (dict, OrderedDict):
        return type(value)((key, to_plain(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(to_plain(item) for item in value)
    return value


def from_plain(value: Any) -> Any:
    """Turn what :func:`to_plain` made of log histories back."""
    if type(value) in (dict, OrderedDict):
        if _HISTORY in value:
            return HistoryBuffer(value[_HISTORY].cpu().numpy(), value['count'].cpu().numpy(),
                                 value['max_length'])
        return type(value)((key, from_plain(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(from_plain(item) for item in value)
    return value


def _without_names(dataset_meta: Any) -> Any:
    """What is known of a data set but the names of its sequences, which would outweigh the model."""
    if not isinstance(dataset_meta, dict):
        return dataset_meta
    return {name: value for name, value in dataset_meta.items() if name != 'names'}


def _same(value: Any, found: Any) -> bool:
    try:
        return bool(value == found)
    except (RuntimeError, ValueError):  # tensors, which have no truth
        return False


def _has_classifier(runner: Runner) -> bool:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return isinstance(model, BaseAlgorithm) and any(getattr(branch, 'head', None) is not None
                                                    for branch in model.branches().values())


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Makes every checkpoint load under ``weights_only=True`` and say what it is; refuses one of another model."""

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the model card, and replace what the restricted loader refuses outside weights and optimiser."""
        self._add_card(runner, checkpoint)
        if 'dataset_meta' in checkpoint.get('meta', {}):
            checkpoint['meta']['dataset_meta'] = _without_names(checkpoint['meta']['dataset_meta'])
        for key in checkpoint:
            if key not in _UNTOUCHED:
                checkpoint[key] = to_plain(checkpoint[key])

    @staticmethod
    def _add_card(runner: Runner, checkpoint: dict) -> None:
        try:
            card = card_of_config(runner.cfg)
        except ValueError as error:
            # hours of training are worth more than the comfort of a card
            print_log(f'the checkpoint carries no model card: {error}, which is no plain data', logger='current',
                      level=logging.WARNING)
            return
        if card is not None and _has_classifier(runner):
            classes = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('classes', ())
            card = replace(card, classes=[str(name) for name in classes])
        if card is not None:
            checkpoint['meta'][CARD] = card.to_dict()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that the weights fill the model, and bring log histories back.

        What evaluation does not need may be missing; a key encoder is then that of the online one.

        Raises:
            ConfigError: If the checkpoint belongs to another model, or to another run where this one goes on from it.
            DataError: If its weights, its card or its state of training are damaged.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        source = str(runner._load_from)
        check_fit(model, state_of(checkpoint), source, trained_only=runner._train_loop is None,
                  card=ModelCard.of(checkpoint, source))
        if runner._train_loop is None:
            _complete(model, checkpoint, source)
        if runner._resume:
            check_training_state(checkpoint, runner, source)
        if 'message_hub' in checkpoint:
            self._restore_histories(checkpoint, source)
        meta = checkpoint.get('meta', {})
        # a config as text, of old versions: the runner would execute whatever code it holds
        meta.pop('config', None)
        if runner._resume and 'dataset_meta' in meta:
            # the runner compares pickles and would warn of other data because a layout was saved as plain numbers
            current = getattr(runner.train_dataloader.dataset, 'metainfo', None)
            if _same(to_plain(_without_names(current)), _without_names(meta['dataset_meta'])):
                meta['dataset_meta'] = current

    @staticmethod
    def _restore_histories(checkpoint: dict, source: str) -> None:
        try:
            check_hub(checkpoint['message_hub'], source)
        except DataError:
            # nobody goes on with them, or they had been refused before
            del checkpoint['message_hub']
        else:
            checkpoint['message_hub'] = from_plain(checkpoint['message_hub'])


def _complete(model: nn.Module, checkpoint: dict, source: str) -> None:
    """Add what a checkpoint for evaluation lacks, so that mmengine has no list of it to print."""
    state = state_of(checkpoint)
    own = model.state_dict()
    lacking = [name for name in own if name not in state]
    if not lacking or 'state_dict' not in checkpoint:
        return
    for name in lacking:
        online = name.replace('backbone_k.', 'backbone.').replace('projector_k.', 'projector.')
        state[name] = state.get(online, own[name])
    checkpoint['state_dict'] = state
    print_log(f'{source}: {len(lacking)} weights of key encoders and memories, which only training needs, are not in '
              'it', logger='current')
