"""Files of public weights: read, converted, written aside and renamed."""
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mmactclr.datasets.archive_format import file_sha256
from mmactclr.errors import ConfigError, DataError

from .card import write_checkpoint
from .fit import check_fit
from .official import from_official, to_official
from .reading import read_checkpoint, require_file, state_of

_SHORT = 12


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
    state = state_of(read_checkpoint(src, expected='the weights of the ActCLR / AimCLR / CrosSCLR code family'))
    names = _read_names(classes) if classes else None
    converted = from_official(state, str(src), layout, stream, strided_units, names)
    source = f'{Path(src).name}, sha256 {file_sha256(Path(src))[:_SHORT]}'
    card = replace(converted.card, source=source)
    # shapes that do not go together are refused before anything is written
    check_fit(card.build(str(src)), converted.state, str(src), trained_only=True)
    write_checkpoint(dst, converted.state, card)
    return [f'{src}: {len(state)} weights', *converted.notes]


def revert_file(src: str | Path, dst: str | Path, overwrite: bool = False) -> list[str]:
    """Write a checkpoint of ours under public names; see :func:`~mmactclr.engine.checkpoints.official.to_official`.

    Raises:
        DataError: If a file cannot be read or written.
        ConfigError: If the model has no counterpart in the public code.
    """
    _check_destination(dst, overwrite)
    state = state_of(read_checkpoint(src))
    public = to_official(state, str(src))
    path = Path(dst)
    aside = path.with_name(f'.{path.name}.partial-{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(public, aside)
        os.replace(aside, path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        raise DataError(f'{path} cannot be written ({error}); choose another destination') from error
    left = len(state) - len(public)
    return [f'{src}: {len(state)} weights, {len(public)} of them under public names'
            + (f'; {left} have no place there (static anchor, number of stored keys)' if left else '')]


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
