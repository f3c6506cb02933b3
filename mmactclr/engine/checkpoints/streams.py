"""One stream out of a checkpoint of several, and several of one stream into a checkpoint of all."""
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import load_config

from .card import ModelCard, write_checkpoint
from .config_card import card_of_config
from .fit import BRANCHES, STREAMS_TOOL, card_streams, check_fit, streams_of
from .reading import read_checkpoint, state_of

# what one stream's model config has and the shared config of a branch has not
_OF_A_STREAM = ('stream', 'data_preprocessor')
# of a model: when its training changes, which says nothing of what its weights are
_SCHEDULE = ('stage_epochs', 'mining_epoch')


def take_stream(src: str | Path, stream: str, dst: str | Path, config: str | Path | None = None,
                overwrite: bool = False) -> Path:
    """Write one stream of a checkpoint of several as a checkpoint of its own, with its card.

    Args:
        src: Checkpoint of several streams.
        stream: The stream to take.
        dst: File to write.
        config: Config of the model of several streams, for a checkpoint without a card.
        overwrite: Replace ``dst``.

    Raises:
        ConfigError: If the checkpoint has one stream or not this one, or nothing says what model it holds.
        DataError: If a file cannot be read or written.
    """
    dst = _destination(dst, overwrite)
    checkpoint = read_checkpoint(src)
    state = state_of(checkpoint)
    streams = streams_of(state)
    if not streams:
        raise ConfigError(f'checkpoint {str(src)!r} holds a single stream; there is nothing to take out of it')
    if stream not in streams:
        raise ConfigError(f'checkpoint {str(src)!r} holds the streams {", ".join(streams)}, not {stream!r}; name one '
                          'of them')
    card = _several_card(config) if config else ModelCard.of(checkpoint, str(src))
    if card is None:
        raise ConfigError(f'checkpoint {str(src)!r} has no model card; name the config it was trained with: --config '
                          'CONFIG')
    if 'branch' not in card.model:
        raise ConfigError(f'checkpoint {str(src)!r}: it holds the streams {", ".join(streams)}, its model card '
                          'is of a single one; name the config it was trained with: --config CONFIG')
    prefix = f'{BRANCHES}{stream}.'
    taken = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    card = _single(card, stream)
    check_fit(card.build(str(src)), taken, str(src), trained_only=True, card=card)
    return write_checkpoint(dst, taken, card)


def join_streams(dst: str | Path, parts: Mapping[str, str | Path], config: str | Path | None = None,
                 overwrite: bool = False) -> Path:
    """Write checkpoints of single streams as one checkpoint of all of them, with its card.

    Args:
        dst: File to write.
        parts: Checkpoint of each stream, in the order of the streams.
        config: Config of the model of all streams; needed where a checkpoint has no card.
        overwrite: Replace ``dst``.

    Raises:
        ConfigError: If models differ in anything but the stream and the epochs in which their training changes, where
            those of the first are taken; a checkpoint is of another stream than it is given as; or nothing says what
            model it holds.
        DataError: If a file cannot be read or written.
    """
    dst = _destination(dst, overwrite)
    if len(parts) < 2:
        raise ConfigError('two or three streams make a checkpoint of several; give two or all of --joint, --motion and '
                          '--bone')
    joined: dict[str, Tensor] = {}
    cards: dict[str, ModelCard | None] = {}
    for stream, path in parts.items():
        checkpoint = read_checkpoint(path)
        state = state_of(checkpoint)
        cards[stream] = ModelCard.of(checkpoint, str(path))
        _check_single(state, cards[stream], stream, path)
        joined.update({f'{BRANCHES}{stream}.{name}': value for name, value in state.items()})
    card = _configured(config, list(parts)) if config else _common(cards, parts)
    check_fit(card.build(str(dst)), joined, ', '.join(map(str, parts.values())), trained_only=True, card=card)
    return write_checkpoint(dst, joined, card)


def _destination(dst: str | Path, overwrite: bool) -> Path:
    dst = Path(dst)
    if dst.is_dir():
        raise DataError(f'{dst} is a folder; name a file in it')
    if dst.exists() and not overwrite:
        raise DataError(f'{dst} exists; choose another name, or replace it with --overwrite')
    return dst


def _check_single(state: Mapping[str, Tensor], card: ModelCard | None, stream: str, path: str | Path) -> None:
    streams = streams_of(state)
    if streams:
        raise ConfigError(f'checkpoint {str(path)!r} holds the streams {", ".join(streams)}, expected {stream} alone; '
                          f'take it out with python {STREAMS_TOOL} take')
    if card is not None and card_streams(card) != [stream]:
        raise ConfigError(f'checkpoint {str(path)!r} is given as {stream}, its model card says '
                          f'{", ".join(card_streams(card))}; give it as that')


def _several_card(config: str | Path) -> ModelCard:
    card = card_of_config(load_config(config))
    if card is None or 'branch' not in card.model:
        raise ConfigError(f'{config}: expected a config of several streams (model of type MultiStream with a branch), '
                          'such as actclr_3s_ntu60_xsub')
    return card


def _configured(config: str | Path, streams: list[str]) -> ModelCard:
    card = _several_card(config)
    if card_streams(card) != streams:
        raise ConfigError(f'{config} is of the streams {", ".join(card_streams(card))}, checkpoints were given for '
                          f'{", ".join(streams)}; give one for each of its streams')
    return card


def _common(cards: Mapping[str, ModelCard | None], parts: Mapping[str, str | Path]) -> ModelCard:
    """The card of all streams, from cards that differ in nothing but the stream."""
    bare = [str(parts[stream]) for stream, card in cards.items() if card is None]
    if bare:
        raise ConfigError(f'checkpoint {bare[0]!r} has no model card; name a config of all streams: --config CONFIG')
    known = {stream: card for stream, card in cards.items() if card is not None}
    (first, one), *others = known.items()
    for stream, other in others:
        difference = next(_differences(_without_stream(one), _without_stream(other)), None)
        if difference:
            where, a, b = difference
            raise ConfigError(f'{where} is {a} in {str(parts[first])!r} and {b} in {str(parts[stream])!r}; only '
                              'checkpoints whose models differ in nothing but the stream can be joined')
    return _several(known)


def _single(card: ModelCard, stream: str) -> ModelCard:
    """The card of one branch: it alone gets what its branches shared."""
    model = {key: value for key, value in card.model['branch'].items() if key not in _OF_A_STREAM}
    model['stream'] = stream
    shared = card.model.get('data_preprocessor')
    if shared:
        model['data_preprocessor'] = {**shared, 'streams': [stream]}
    return replace(card, model=model)


def _several(cards: Mapping[str, ModelCard]) -> ModelCard:
    first = next(iter(cards.values()))
    streams = list(cards)
    model = {'type': 'MultiStream', 'streams': streams,
             'branch': {key: value for key, value in first.model.items() if key not in _OF_A_STREAM}}
    shared = first.model.get('data_preprocessor')
    if shared:
        model['data_preprocessor'] = {**shared, 'streams': streams}
    sources = dict.fromkeys(card.source for card in cards.values() if card.source)
    return replace(first, model=model, source=', '.join(sources))


def _without_stream(card: ModelCard) -> dict[str, Any]:
    fields = asdict(card)
    del fields['source']
    for name in ('stream', *_SCHEDULE):
        fields['model'].pop(name, None)
    (fields['model'].get('data_preprocessor') or {}).pop('streams', None)
    return fields


def _differences(a: Any, b: Any, where: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Places at which two plain values differ: dotted name, one value, the other; lists and tuples are alike."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys((*a, *b)):
            yield from _differences(a.get(key), b.get(key), f'{where}.{key}' if where else key)
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        for i, pair in enumerate(zip(a, b, strict=True)):
            yield from _differences(*pair, f'{where}.{i}')
    elif a != b:
        yield where, a, b
