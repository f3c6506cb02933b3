"""Whether config and data fit together, before the first step."""
from typing import Any

import numpy as np
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmactclr.datasets import ShardSampler
from mmactclr.errors import ConfigError, DataError
from mmactclr.models import BaseAlgorithm, ContrastivePreprocessor


def check_data_fits(runner: Runner) -> None:
    """Compare model and training set: batch, joints, frames, persons, axes, streams, views of all stages, classes.

    Every part of this would end the run sooner or later, a view of stage two after all epochs of stage one. A memory
    that holds more keys than there are sequences is only warned of.

    Args:
        runner: Runner whose model is built; its training loop is built if it is not yet.

    Raises:
        ConfigError: If something does not fit; the message names the field and both values.
        DataError: If a classifier is trained on sequences without labels.
    """
    loader = runner.train_dataloader
    _check_sampler(loader)
    _check_batch(loader)
    method = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(method, BaseAlgorithm):
        return
    sample = loader.dataset[0]
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    for stream, branch in method.branches().items():
        if inputs is not None:
            _check_shape(branch, inputs, getattr(loader.dataset, 'metainfo', {}).get('layout'))
        _check_classes(stream, branch, loader.dataset)
        _check_memory(stream, branch, getattr(loader.dataset, 'total', len(loader.dataset)), loader.batch_size, runner)
    if isinstance(method.data_preprocessor, ContrastivePreprocessor):
        _check_views(method, method.data_preprocessor, runner.max_epochs)


def _check_sampler(loader: Any) -> None:
    """Refuse a sampler that counts on all processes reading the same, where they do not."""
    if getattr(loader.dataset, 'divided', False) and not isinstance(loader.sampler, ShardSampler):
        raise ConfigError(f'train_dataloader.sampler is {type(loader.sampler).__name__}, and processes read different '
                          "archives: epochs would differ in length; set sampler=dict(type='ShardSampler')")


def _check_batch(loader: Any) -> None:
    """Refuse an epoch without a step, which would end in a checkpoint of random weights."""
    if len(loader) == 0:
        raise ConfigError(
            f'train_dataloader: {len(loader.dataset)} training sequences make no full batch of batch_size='
            f'{loader.batch_size} with drop_last={loader.drop_last}; set train_dataloader.batch_size to at most '
            f'{len(loader.dataset)} per process')


def _check_shape(branch: BaseAlgorithm, inputs: Tensor, found: Any) -> None:
    """Joints, axes and, where the method keeps a mean motion, persons and frames of prepared (M, T, V, C) joints."""
    layout = getattr(branch, 'layout', None)
    persons, frames, joints, axes = inputs.shape
    if layout is not None and (layout.num_joints != joints or found is not None and found.joints != layout.joints):
        name, order = getattr(found, 'name', 'unknown'), ' in another order' if layout.num_joints == joints else ''
        raise ConfigError(f'the model is for layout {layout.name!r} ({layout.num_joints} joints), the training set has '
                          f'{name!r} ({joints} joints{order}); set layout to that of the archive, or remap=True to '
                          'convert it')
    channels = getattr(getattr(branch, 'backbone', None), 'in_channels', axes)
    if channels != axes:
        raise ConfigError(f'backbone.in_channels is {channels}, the training set has {axes} coordinates a joint; set '
                          f'in_channels={axes} (model.backbone.in_channels)')
    anchor = getattr(branch, 'anchor', None)
    if anchor is not None and tuple(anchor.shape[:2]) != (persons, frames):
        raise ConfigError(f'the static anchor of the model is for max_persons={anchor.shape[0]} and num_frames='
                          f'{anchor.shape[1]}, the training set is prepared with {persons} and {frames}; set '
                          'max_persons and num_frames at the top of the config, which reach both')


def _check_views(method: BaseAlgorithm, preprocessor: ContrastivePreprocessor, max_epochs: int) -> None:
    """Streams and views that the losses ask for, at the beginning and at the end of the run."""
    wanted = set(method.branches())
    if wanted - set(preprocessor.streams):
        raise ConfigError(f'the model trains the streams {sorted(wanted)}, data_preprocessor.streams is '
                          f'{list(preprocessor.streams)}; name all of them there as well')
    parts = {method, *method.branches().values()}
    before = {part: part.epoch for part in parts}
    try:
        for epoch in (0, max_epochs - 1):
            for part in parts:
                part.epoch = epoch
            missing = [name for name in method.view_names() if name not in preprocessor.view_names]
            if missing:
                raise ConfigError(f'in epoch {epoch + 1} the method asks for the views {missing}, the data '
                                  f'preprocessor defines {sorted(preprocessor.view_names)}; add them to '
                                  'data_preprocessor.views')
    finally:
        for part, value in before.items():
            part.epoch = value


def _check_classes(stream: str, branch: BaseAlgorithm, dataset: Any) -> None:
    """That every label has a score."""
    head, labels = getattr(branch, 'head', None), getattr(dataset, 'labels', None)
    if head is None or not isinstance(labels, np.ndarray):
        return
    low, high, classes = int(labels.min()), int(labels.max()), getattr(head, 'num_classes', None)
    if low < 0:
        raise DataError(f'{(labels < 0).sum()} of {len(labels)} training sequences have no label, which the classifier '
                        f'of the {stream} stream learns from; give them labels, or pretrain without')
    if classes is not None and high >= classes:
        raise ConfigError(f'the head has num_classes={classes}, the training set has labels up to {high}; set '
                          f'num_classes={high + 1} or more, or num_classes=archive for those of the archive')


def _check_memory(stream: str, branch: BaseAlgorithm, sequences: int, batch: int | None, runner: Runner) -> None:
    size = getattr(getattr(branch, 'memory', None), 'size', None)
    if size is not None and size > sequences:
        runner.logger.warning(
            f'memory.size of the {stream} stream is {size}, more than the {sequences} training sequences: most of '
            'them are in it more than once, and every sequence has keys of its own among its negatives; set '
            f'memory.size to at most {sequences}')
    world = runner.world_size
    if size is not None and batch and size < batch * world:
        runner.logger.warning(
            f'memory.size of the {stream} stream is {size}, less than the {batch * world} keys of a step: the rest of '
            'them is never a negative; set memory.size higher')
