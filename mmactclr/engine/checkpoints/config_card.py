"""From a config to the card of the model it trains, and from a card to a config that evaluates the model."""
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmactclr.errors import ConfigError
from mmactclr.models.algorithms.base import BaseAlgorithm
from mmactclr.models.backbones import feature_width
from mmactclr.registry import MODELS, TRANSFORMS
from mmactclr.structures import get_layout
from mmactclr.utils import share_fields

from .card import ModelCard
from .plain import as_plain

# value of `model` that means: whatever model the checkpoint has
FROM_CHECKPOINT = 'checkpoint'
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_FIELDS = ('num_frames', 'max_persons', 'preparation')
# packages that are there wherever a checkpoint is read
_OURS = ('mmactclr', 'mmengine', 'torch', '__main__')


def takes_encoder(cfg: Mapping[str, Any]) -> bool:
    """Whether the encoder of a config is that of a checkpoint: ``backbone=dict(type='checkpoint', ...)``."""
    model = cfg.get('model')
    backbone = model.get('backbone') if isinstance(model, Mapping) else None
    return isinstance(backbone, Mapping) and backbone.get('type') == FROM_CHECKPOINT


def adopt_encoder(cfg: Config, card: ModelCard, source: str, explicit: Collection[str] = ()) -> None:
    """Fill a config whose encoder is that of a checkpoint, with the joints, frames and preparation that it needs.

    The model of the config is one for a single stream; a checkpoint of several makes it a
    :class:`~mmactclr.models.MultiStream` of as many, or what ``multi_stream`` of the model says, such as
    ``dict(type='JointRecognizer')``. What ``backbone`` says besides its type goes over the card.

    Args:
        cfg: Config, changed in place.
        card: Card of the checkpoint.
        source: Name of the checkpoint, for messages.
        explicit: Fields by dotted key that the user has set and that stay as they are.

    Raises:
        ConfigError: If the model of the card cannot be built here, or has no encoder.
    """
    built = card.build(source)
    branches = built.branches() if isinstance(built, BaseAlgorithm) else {}
    found = card.model_config(source)
    branch = found.get('branch', found)
    if not branches or not isinstance(branch.get('backbone'), Mapping):
        raise ConfigError(f'checkpoint {source!r}: the model of its card has no encoder (backbone) to take over')
    template = deepcopy(cfg.model.to_dict())
    several = template.pop('multi_stream', None)
    changes = {key: value for key, value in template['backbone'].items() if key != 'type'}
    widths = {stream: feature_width(part.backbone, part.layout, f'checkpoint {source!r}')
              for stream, part in branches.items()}
    streams = list(widths)
    single = dict(template, layout=deepcopy(card.layout), stream=streams[0],
                  backbone={**branch['backbone'], **changes}, skip_absent=branch.get('skip_absent', False))
    single['head'] = dict(template['head'], in_channels=widths[streams[0]])
    single['data_preprocessor'] = dict(template['data_preprocessor'], layout=deepcopy(card.layout), streams=streams)
    if len(streams) > 1:
        single = dict(several or _fused(found), streams=streams, data_preprocessor=single.pop('data_preprocessor'),
                      branch=single)
    cfg.model = single
    _adopt_fields(cfg, card, explicit)


def _fused(found: Mapping[str, Any]) -> dict[str, Any]:
    """Config of several streams that are trained apart and fused as the model of a checkpoint fuses them."""
    return {'type': 'MultiStream', **({'fusion': found['fusion']} if 'fusion' in found else {})}


def _adopt_fields(cfg: Config, card: ModelCard, explicit: Collection[str]) -> None:
    """Joints, frames, persons and preparation of a card, wherever the config has them."""
    for name in ('layout', 'num_frames', 'max_persons'):
        if name not in explicit:
            cfg[name] = deepcopy(getattr(card, name))
    for name in _LOADERS:
        if any(field.startswith(f'{name}.') and 'preparation' in field.split('.') for field in explicit):
            continue
        for dataset in _datasets(cfg.get(name)):
            dataset['preparation'] = deepcopy(card.preparation)
    share_fields(cfg)


def card_of_config(cfg: Mapping[str, Any]) -> ModelCard | None:
    """The card of the model that a config trains; None for a model that has no joint layout or is no config.

    Raises:
        ValueError: If the model's config holds something besides plain data.
    """
    model = cfg.get('model')
    layout = _layout_of(model) if isinstance(model, Mapping) else None
    if layout is None:
        return None
    dataset = next((dataset for name in _LOADERS for dataset in _datasets(cfg.get(name))), {})
    fields = {name: as_plain(dataset[name], name) for name in _FIELDS if name in dataset}
    source = getattr(cfg, 'filename', None)
    return ModelCard(model=as_plain(model, 'model'), layout=get_layout(layout).to_dict(),
                     source=Path(source).stem if source else '',
                     imports=_imported(cfg, [model, fields.get('preparation')]), **fields)


def _imported(cfg: Mapping[str, Any], built: Any) -> list[str]:
    """Modules that a config imports, and those of plugins that define what is ``built``."""
    named = (cfg.get('custom_imports') or {}).get('imports') or ()
    found = dict.fromkeys([named] if isinstance(named, str) else named)
    known = {**TRANSFORMS.module_dict, **MODELS.module_dict}
    for name in _types(built):
        module = getattr(known.get(name), '__module__', '__main__')
        packages = {each.partition('.')[0] for each in (*found, *_OURS)}
        if module.partition('.')[0] not in packages:
            found[module] = None
    return list(found)


def _types(node: Any) -> Iterator[str]:
    """Names of the components of a config, without those of the views of a pretraining."""
    if isinstance(node, Mapping):
        if isinstance(node.get('type'), str):
            yield node['type']
        for key, value in node.items():
            if key != 'views':
                yield from _types(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _types(value)


def adopt_card(cfg: Config, card: ModelCard, source: str, explicit: Collection[str] = ()) -> None:
    """Make a config with ``model='checkpoint'`` one of the card's model, with the preparation that it needs.

    Args:
        cfg: Config, changed in place.
        card: Card of the checkpoint.
        source: Name of the checkpoint, for messages.
        explicit: Top-level fields that the user has set and that stay as they are.

    Raises:
        ConfigError: If the model of the card cannot be built here.
    """
    # once for nothing: the runner's own attempt would end in a traceback where a card is damaged
    card.build(source)
    cfg.model = card.model_config(source)
    for entry in [*(cfg.get('test_evaluator') or []), *(cfg.get('custom_hooks') or [])]:
        if 'classes' in entry:
            entry['classes'] = list(card.classes) or None
    _adopt_fields(cfg, card, explicit)


def _layout_of(model: Mapping[str, Any]) -> Any:
    if 'layout' in model:
        return model['layout']
    branch = model.get('branch')
    return branch.get('layout') if isinstance(branch, Mapping) else None


def _datasets(node: Any) -> Iterator[dict[str, Any]]:
    """Configs of the datasets inside a loader's config, whatever wraps them."""
    if isinstance(node, dict):
        if 'data_root' in node:
            yield node
        for value in node.values():
            yield from _datasets(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _datasets(value)
