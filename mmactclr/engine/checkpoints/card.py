"""What a checkpoint says of itself: model, joints and preparation, so that inference needs no config.

The card is plain data under ``checkpoint['meta']['mmactclr']``. Since a checkpoint may come from anywhere, building
from a card is restricted to what is registered: mmengine would import and call any dotted path that a ``type`` names.
"""
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import MODELS, SCOPE, TRANSFORMS
from mmactclr.structures import Layout
from mmactclr.transforms import default_preparation

CARD = 'mmactclr'
VERSION = 1
# entries of a model config that fetch weights from elsewhere; a checkpoint brings its own
_FETCHING = ('init_cfg', 'pretrained')


@dataclass(frozen=True)
class ModelCard:
    """Everything but the weights that a model needs to be used.

    Attributes:
        model: Config of the model.
        layout: Joint layout that the model takes, as :meth:`Layout.to_dict` writes it.
        num_frames: Frames T of a prepared sequence.
        max_persons: Persons M of a prepared sequence.
        preparation: Transform configs from a recording in metres to the model's input; the default preparation if None.
        classes: Names of the classes that the model tells apart; empty without a classifier.
        source: Where the weights come from.
    """

    model: dict[str, Any]
    layout: dict[str, Any]
    num_frames: int = 50
    max_persons: int = 2
    preparation: list[dict[str, Any]] | None = None
    classes: list[str] = field(default_factory=list)
    source: str = ''

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any], source: str) -> 'ModelCard | None':
        """The card of a checkpoint, None where it has none.

        Raises:
            DataError: If the card is damaged or of another version; ``source`` names the file.
        """
        meta = checkpoint.get('meta')
        found = meta.get(CARD) if isinstance(meta, Mapping) else None
        if found is None:
            return None
        if not isinstance(found, Mapping) or found.get('version') != VERSION:
            version = found.get('version') if isinstance(found, Mapping) else type(found).__name__
            raise DataError(f'checkpoint {source!r}: its model card is of version {version!r}, this code reads '
                            f'{VERSION}; name the config it was trained with instead')
        kinds = dict(model=dict, layout=dict, num_frames=int, max_persons=int, preparation=(list, type(None)),
                     classes=list, source=str)
        values = {key: value for key, value in found.items() if key != 'version'}
        wrong = [key for key, kind in kinds.items() if not isinstance(values.get(key), kind)]
        wrong += sorted(set(values) - set(kinds))
        if wrong:
            raise DataError(f'checkpoint {source!r}: its model card is damaged ({", ".join(wrong)}); name the config '
                            'it was trained with instead')
        try:
            Layout.from_dict(values['layout'])
        except ConfigError as error:
            raise DataError(f'checkpoint {source!r}: its model card is damaged ({error}); name the config it was '
                            'trained with instead') from error
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``checkpoint['meta']['mmactclr']``."""
        return {'version': VERSION, **asdict(self)}

    def joint_layout(self) -> Layout:
        """The layout as an object."""
        return Layout.from_dict(self.layout)

    def preparation_steps(self) -> list[dict[str, Any]]:
        """Transform configs of the preparation, the default ones spelled out."""
        return default_preparation(self.num_frames) if self.preparation is None else list(self.preparation)

    def build(self, source: str) -> nn.Module:
        """Build the model, without its weights, from registered components only.

        Raises:
            ConfigError: If a ``type`` is not the name of a registered component; ``source`` names the file.
        """
        model = _checked(self.model, source, 'model')
        _checked(self.preparation_steps(), source, 'preparation')
        return MODELS.build(model)


def _checked(node: Any, source: str, where: str) -> Any:
    """A copy of a config in which every type is registered and nothing is fetched from elsewhere."""
    if isinstance(node, Mapping):
        if 'type' in node:
            _check_type(node['type'], source, where)
        return {key: _checked(value, source, f'{where}.{key}') for key, value in node.items()
                if key not in _FETCHING and key != '_scope_'}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return type(node)(_checked(value, source, f'{where}.{i}') for i, value in enumerate(node))
    return node


def _check_type(name: Any, source: str, where: str) -> None:
    for registry in (MODELS, TRANSFORMS):
        registry.import_from_location()
        if isinstance(name, str) and name.removeprefix(f'{SCOPE}.') in registry.module_dict:
            return
    raise ConfigError(f'checkpoint {source!r}: {where}.type of its model card is {name!r}, which is not registered '
                      'here; import the file that registers it first, or name the config it was trained with')


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor], card: ModelCard) -> Path:
    """Write weights with their card, aside first, then renamed; the file loads under ``weights_only=True``.

    Raises:
        DataError: If the folder cannot be written.
    """
    path = Path(path)
    aside = path.with_name(f'.{path.name}.partial-{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({'meta': {CARD: card.to_dict()}, 'state_dict': dict(state)}, aside)
        os.replace(aside, path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        raise DataError(f'{path} cannot be written ({error}); choose another destination') from error
    return path
