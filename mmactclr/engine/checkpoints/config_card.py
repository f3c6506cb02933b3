"""From a config to the card of the model it trains, and from a card to a config that evaluates the model."""
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmactclr.structures import get_layout
from mmactclr.utils import share_fields

from .card import ModelCard
from .plain import as_plain

# value of `model` that means: whatever model the checkpoint has
FROM_CHECKPOINT = 'checkpoint'
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_FIELDS = ('num_frames', 'max_persons', 'preparation')


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
                     source=Path(source).stem if source else '', **fields)


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
    for name in ('layout', 'num_frames', 'max_persons'):
        if name not in explicit:
            cfg[name] = getattr(card, name)
    for name in _LOADERS:
        for dataset in _datasets(cfg.get(name)):
            dataset['preparation'] = deepcopy(card.preparation)
    for entry in [*(cfg.get('test_evaluator') or []), *(cfg.get('custom_hooks') or [])]:
        if 'classes' in entry:
            entry['classes'] = list(card.classes) or None
    share_fields(cfg)


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
