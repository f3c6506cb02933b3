"""Files of public weights: read, converted, written aside and renamed."""
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from mmactclr.datasets.archive_format import file_sha256
from mmactclr.errors import ConfigError, DataError
from mmactclr.models import STGCN

from .card import ModelCard, write_checkpoint
from .fit import check_fit
from .newest import aside_of
from .official import from_official, to_official
from .official_checks import check_whole
from .reading import load_plain, read_checkpoint, require_file, state_of

_SHORT = 12
# where releases of the family keep their weights, if not at the top of the file
_WEIGHTS = ('state_dict', 'model')


def convert_file(src: str | Path, dst: str | Path, layout: str = 'ntu25', stream: str = 'joint',
                 strided_units: Sequence[int] | None = None, classes: str | Path | None = None,
                 overwrite: bool = False) -> list[str]:
    """Convert a file of public weights; see :func:`~mmactclr.engine.checkpoints.official.from_official`.

    Args:
        src: File to read.
        dst: Checkpoint to write.
        layout: Joint layout that the weights were trained with.
        stream: Stream of a file that holds one.
        strided_units: Units that halve the frame rate; where channels double if None.
        classes: Text file with the name of one class a line.
        overwrite: Replace ``dst``.

    Returns:
        What was found, assumed and left out, a line each.

    Raises:
        DataError: If a file cannot be read or written, or holds other weights.
        ConfigError: If an option does not fit the weights.
    """
    _check_destination(dst, overwrite)
    state = _read_public(src)
    names = _read_names(classes) if classes else None
    converted = from_official(state, str(src), layout, stream, strided_units, names)
    source = f'{Path(src).name}, sha256 {file_sha256(Path(src))[:_SHORT]}'
    card = replace(converted.card, source=source)
    # parts that do not go together are refused before anything is written
    check_whole(card.build(str(src)), converted.state, str(src))
    write_checkpoint(dst, converted.state, card)
    return [f'{src}: {len(state)} weights', *converted.notes]


def revert_file(src: str | Path, dst: str | Path, overwrite: bool = False) -> list[str]:
    """Write a checkpoint of ours under public names; see :func:`~mmactclr.engine.checkpoints.official.to_official`.

    Returns:
        What was written and what a public file does not say, a line each.

    Raises:
        DataError: If a file cannot be read or written.
        ConfigError: If the model has no counterpart in the public code.
    """
    _check_destination(dst, overwrite)
    checkpoint = read_checkpoint(src)
    state, card = state_of(checkpoint), ModelCard.of(checkpoint, str(src))
    public = to_official(state, str(src))
    notes = _unsaid(card, state, str(src)) if card else []
    path = Path(dst)
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(public, aside)
        os.replace(aside, path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        raise DataError(f'{path} cannot be written ({error}); choose another destination') from error
    left = len(state) - len(public)
    return [f'{src}: {len(state)} weights, {len(public)} of them under public names'
            + (f'; {left} have no place there (static anchor, number of stored keys)' if left else ''), *notes]


def _unsaid(card: ModelCard, state: dict[str, Any], source: str) -> list[str]:
    """What the card knows of a model and its public file will not say, a line each.

    Raises:
        ConfigError: If the model does something that the public code cannot.
    """
    model: Any = card.build(source)
    check_fit(model, state, source, trained_only=True, card=card)
    branches = list(model.branches().values())
    if any(getattr(branch, 'skip_absent', False) for branch in branches):
        raise ConfigError(f'{source}: its model leaves absent persons out (skip_absent), the public code averages '
                          'them in and would give other features; there is no counterpart to write')
    encoder = branches[0].backbone
    if not isinstance(encoder, STGCN):
        raise ConfigError(f'{source}: its encoder is {type(encoder).__name__}, which has no counterpart in the public '
                          'code; only ST-GCN encoders can be written back')
    strided = [number for number, unit in enumerate(cast(Iterable[Any], encoder.units), start=1)
               if unit.tcn[2].stride[0] > 1]
    notes = [f'not in a public file: stride 2 at units {strided}, layout {encoder.layout.name}']
    if len(branches) == 1:
        notes[0] += f', stream {branches[0].stream}'
    return notes


def _read_public(path: str | Path) -> dict[str, Any]:
    """Values of a file of public weights by name, read without executing anything.

    Raises:
        DataError: If the file does not exist, is damaged, or holds no weights by name.
    """
    path = require_file(path, 'file of public weights')
    try:
        content = load_plain(path)
    except DataError:
        raise
    except Exception as error:  # the restricted unpickler raises whatever the bytes make it do
        raise DataError(f'{path} cannot be read ({type(error).__name__}): it was cut short, is no file of torch.save, '
                        'or holds objects besides tensors and plain values, which are never executed; download it '
                        'again, or save its state_dict alone') from error
    if isinstance(content, dict):
        content = next((content[key] for key in _WEIGHTS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise DataError(f'{path} holds no weights by name (found {type(content).__name__}); expected encoder_q.*, at '
                        f'the top or under {" or ".join(map(repr, _WEIGHTS))}')
    return {name.removeprefix('module.'): value for name, value in content.items()}


def _check_destination(dst: str | Path, overwrite: bool) -> None:
    if Path(dst).is_dir():
        raise ConfigError(f'{dst} is a folder, expected the name of a file to write')
    if Path(dst).exists() and not overwrite:
        raise ConfigError(f'{dst} exists: pass --overwrite to replace it')


def _read_names(path: str | Path) -> list[str]:
    try:
        lines = require_file(path, 'list of classes').read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f'{path} is no text file: expected the name of one class a line') from error
    return [line.strip() for line in lines if line.strip()]
