"""What a checkpoint says of itself: model, joints and preparation, so that inference needs no config.

The card is plain data under ``checkpoint['meta']['mmactclr']``. Since a checkpoint may come from anywhere, building
from a card is restricted to what is registered: mmengine would import and call any dotted path that a ``type`` names.
"""
import os
import re
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

from .newest import aside_of
from .plain import find_foreign

CARD = 'mmactclr'
VERSION = 1
# far above what anybody records, far below what fills a memory: a card may say anything
MAX_FRAMES, MAX_PERSONS, MAX_JOINTS = 10_000, 100, 1_000
_MAX_NUMBER = 2 ** 20
# weights and buffers of a model, 4 GiB of them; a 3s model of the paper has nine million
_MAX_VALUES = 2 ** 30
_KINDS: dict[str, Any] = dict(model=dict, layout=dict, num_frames=int, max_persons=int, preparation=(list, type(None)),
                              classes=list, source=str, imports=list)
# fields that a card may lack
_OPTIONAL = ('imports',)
_MODULE = re.compile(r'[^\W\d]\w*(\.[^\W\d]\w*)*')
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
        imports: Modules besides this package that the training imported for its components; named in messages, never
            imported from here.
    """

    model: dict[str, Any]
    layout: dict[str, Any]
    num_frames: int = 50
    max_persons: int = 2
    preparation: list[dict[str, Any]] | None = None
    classes: list[str] = field(default_factory=list)
    source: str = ''
    imports: list[str] = field(default_factory=list)

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
        version = found.get('version') if isinstance(found, Mapping) else None
        if type(version) is not int or version != VERSION:
            named = version if isinstance(version, int) else f'of type {type(version).__name__}'
            raise DataError(f'checkpoint {source!r}: the version of its model card is {named}, this code reads '
                            f'{VERSION}; update mmactclr, or take an intact copy of the file')
        values = {key: value for key, value in found.items() if key != 'version'}
        damage = _find_damage(values)
        if damage:
            raise DataError(f'checkpoint {source!r}: its model card is damaged ({damage}); take an intact copy of the '
                            'file')
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``checkpoint['meta']['mmactclr']``."""
        values = asdict(self)
        return {'version': VERSION, **{key: value for key, value in values.items() if value or key not in _OPTIONAL}}

    def joint_layout(self) -> Layout:
        """The layout as an object."""
        return Layout.from_dict(self.layout)

    def preparation_steps(self, source: str = '') -> list[dict[str, Any]]:
        """Transform configs of the preparation, the default ones spelled out.

        Args:
            source: Name of the file, for messages; what the card names as its origin if empty.

        Raises:
            ConfigError: If a ``type`` is not the name of a registered component.
        """
        steps = default_preparation(self.num_frames) if self.preparation is None else list(self.preparation)
        return _checked(steps, source or self.source, 'preparation', imports=self.imports)

    def model_config(self, source: str) -> dict[str, Any]:
        """Config of the model, from registered components only, for the joints, frames and persons of this card.

        It is for inference: the views of a pretraining, whose transforms may not be there, are left out.

        Raises:
            ConfigError: If a ``type`` is not the name of a registered component, or a number is absurd; ``source``
                names the file.
        """
        self.preparation_steps(source)
        return _checked(self.model, source, 'model', dict(
            layout=self.layout, num_frames=self.num_frames, max_persons=self.max_persons), self.imports)

    def build(self, source: str) -> nn.Module:
        """Build the model, without its weights, from registered components only.

        Raises:
            ConfigError: If a ``type`` is not the name of a registered component, or a component refuses its
                arguments; ``source`` names the file.
        """
        config = self.model_config(source)
        values = _count_values(config)
        if values > _MAX_VALUES:
            raise ConfigError(f'checkpoint {source!r}: the model of its card has {values:,} weights and buffers, '
                              f'expected at most {_MAX_VALUES:,}; name the config it was trained with')
        try:
            return MODELS.build(config)
        except Exception as error:  # arguments from outside make a component raise whatever they do
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise ConfigError(f'checkpoint {source!r}: the model of its card cannot be built ({reason}); take an '
                              'intact copy of the file, or name the config it was trained with') from error


def _count_values(config: dict[str, Any]) -> int:
    """Weights and buffers of a model, counted without memory for them; 0 where a component cannot be built so."""
    try:
        with torch.device('meta'):
            return sum(value.numel() for value in MODELS.build(config).state_dict().values())
    except Exception:  # the attempt that counts says why
        return 0


def _find_damage(values: Mapping[str, Any]) -> str | None:
    """What is wrong with the fields of a card; None where nothing is."""
    foreign = find_foreign(values)
    if foreign:
        return f'{foreign} in it is no plain data'
    wrong = [key for key, kind in _KINDS.items() if not isinstance(values.get(key), kind)
             and (key in values or key not in _OPTIONAL)]
    wrong += sorted(set(values) - set(_KINDS))
    if wrong:
        return ', '.join(wrong)
    for key, limit in (('num_frames', MAX_FRAMES), ('max_persons', MAX_PERSONS)):
        if isinstance(values[key], bool) or not 1 <= values[key] <= limit:
            return f'{key} is {values[key]!r}, expected 1 to {limit}'
    if not all(isinstance(name, str) for name in values['classes']):
        return 'classes are no names'
    if not all(isinstance(name, str) and _MODULE.fullmatch(name) for name in values.get('imports', ())):
        return 'imports are no names of modules'
    if not all(isinstance(step, dict) for step in values['preparation'] or ()):
        return 'preparation holds something besides transform configs'
    return _find_damaged_streams(values['model']) or _find_damaged_layout(values['layout'])


def _find_damaged_streams(model: Mapping[str, Any]) -> str | None:
    streams = model.get('streams', [model.get('stream', 'joint')])
    if not isinstance(streams, (list, tuple)) or not all(isinstance(stream, str) for stream in streams):
        return 'model.stream or model.streams are no names'
    if not isinstance(model.get('branch', {}), dict):
        return 'model.branch is no config'
    return None


def _find_damaged_layout(layout: Mapping[str, Any]) -> str | None:
    for key in ('joints', 'bones', 'edges'):
        if key in layout and not (isinstance(layout[key], list) and len(layout[key]) <= MAX_JOINTS):
            return f'layout.{key} is no list of at most {MAX_JOINTS}'
    try:
        Layout.from_dict(layout)
    except Exception as error:  # plain data, but of any kind where numbers and names are expected
        return ' '.join(f'layout: {error}'.split())
    return None


def _checked(node: Any, source: str, where: str, fields: Mapping[str, Any] | None = None,
             imports: Sequence[str] = ()) -> Any:
    """A copy of a config in which every type is registered, nothing is fetched and ``fields`` are as given."""
    if isinstance(node, Mapping):
        if 'type' in node:
            _check_type(node['type'], source, where, imports)
        fields = fields or {}
        if where.endswith('.data_preprocessor') and 'views' in node:
            # only training makes views
            fields = {**fields, 'views': {}}
        return {key: fields[key] if key in fields else _checked(value, source, f'{where}.{key}', fields, imports)
                for key, value in node.items() if key not in _FETCHING and key != '_scope_'}
    if isinstance(node, Sequence) and not isinstance(node, str):
        kind: Any = type(node)
        return kind(_checked(value, source, f'{where}.{i}', fields, imports) for i, value in enumerate(node))
    if isinstance(node, int) and abs(node) > _MAX_NUMBER:
        raise ConfigError(f'checkpoint {source!r}: {where} of its model card is {node}, expected at most '
                          f'{_MAX_NUMBER}; name the config it was trained with')
    return node


def _check_type(name: Any, source: str, where: str, imports: Sequence[str]) -> None:
    for registry in (TRANSFORMS,) if where.startswith('preparation') else (MODELS, TRANSFORMS):
        registry.import_from_location()
        if isinstance(name, str) and name.removeprefix(f'{SCOPE}.') in registry.module_dict:
            return
    advice = 'import the file that registers it first, or name the config it was trained with'
    if imports:
        advice = (f'its training imported {", ".join(imports)}, which a checkpoint cannot make us do: put the folder '
                  f'that holds it on PYTHONPATH and name a config with custom_imports=dict(imports={list(imports)}), '
                  'such as that of the training (--config where a tool has it); in Python, import it first')
    raise ConfigError(f'checkpoint {source!r}: {where}.type of its model card is {name!r}, which is not registered '
                      f'here; {advice}')


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor], card: ModelCard) -> Path:
    """Write weights with their card, aside first, then renamed; the file loads under ``weights_only=True``.

    Raises:
        DataError: If the folder cannot be written.
    """
    path = Path(path)
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({'meta': {CARD: card.to_dict()}, 'state_dict': dict(state)}, aside)
        os.replace(aside, path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        raise DataError(f'{path} cannot be written ({error}); choose another destination') from error
    return path
