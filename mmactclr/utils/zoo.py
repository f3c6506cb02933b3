"""Published weights by name: files of this package, each with a card, their checksum verified whenever they are used.

``mmactclr/zoo`` holds ``NAME.pth`` and ``NAME.yml``; one more pair of files is one more model.
"""
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mmactclr.errors import DataError

from .places import PACKAGE

ZOO = PACKAGE / 'zoo'
# what a card says, and of which kind; tools/model_converters/publish_model.py computes those of the second group
WRITTEN: dict[str, type] = {
    'name': str, 'summary': str, 'config': str, 'trained_on': dict, 'recipe': dict, 'command': list, 'results': list,
    'limits': str, 'licence': str}
COMPUTED: dict[str, type] = {
    'sha256': str, 'bytes': int, 'method': str, 'streams': list, 'encoder_values': int, 'layout': str,
    'num_frames': int, 'max_persons': int}
TRAINED_ON: dict[str, type] = {'data': str, 'part': str, 'sequences': int, 'source': str, 'licence': str, 'labels': str}
RESULT: dict[str, type] = {'data': str, 'part': str, 'command': str, 'metrics': dict, 'baselines': dict}


def list_zoo() -> list[str]:
    """Names of the published weights, sorted."""
    return sorted(path.stem for path in ZOO.glob('*.yml'))


def read_zoo_card(name: str, folder: Path = ZOO) -> dict[str, Any]:
    """The card of published weights.

    Raises:
        DataError: If it cannot be read, or lacks a field or has one of another kind.
    """
    path = folder / f'{name}.yml'
    try:
        card = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f'card of published weights {str(path)!r} cannot be read ({type(error).__name__}); install '
                        'mmactclr again') from error
    check_card(card, str(path), {**WRITTEN, **COMPUTED})
    return card


def check_card(card: Any, source: str, fields: Mapping[str, type]) -> None:
    """Refuse a card that lacks a field, has one of another kind, or one that is empty.

    Raises:
        DataError: The message names file and fields.
    """
    wrong = _wrong(card, fields)
    if not wrong:
        wrong = [f'trained_on.{field}' for field in _wrong(card['trained_on'], TRAINED_ON)]
        for i, result in enumerate(card['results']):
            wrong += [f'results.{i}.{field}' for field in _wrong(result, RESULT)]
    if wrong:
        raise DataError(f'{source}: field {", ".join(wrong)} of the card is missing, empty or of another kind; '
                        'docs/model_zoo.md says what a card holds')


def _wrong(found: Any, fields: Mapping[str, type]) -> list[str]:
    if not isinstance(found, dict):
        return list(fields)
    return [field for field, kind in fields.items() if type(found.get(field)) is not kind or not found[field]]


def find_checkpoint(source: str | Path) -> Path:
    """Path of a checkpoint: published weights by their name, anything else as it is; a file of that name comes first.

    Raises:
        DataError: If the published weights are not those of their card.
    """
    path = Path(source)
    name = str(source)
    # names have neither folders nor endings
    if path.name != name or path.suffix or name not in list_zoo() or path.exists():
        return path
    return verified(name)


def verified(name: str, folder: Path = ZOO) -> Path:
    """File of published weights, after its checksum was compared with that of the card.

    Raises:
        DataError: If it is missing or is not the file that the card describes.
    """
    path, card = folder / f'{name}.pth', read_zoo_card(name, folder)
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f'published weights {str(path)!r} cannot be read ({error}); install mmactclr again') from error
    if found != card['sha256']:
        raise DataError(f'published weights {str(path)!r} are damaged: their SHA-256 is {found[:12]}..., that of the '
                        f'card {card["sha256"][:12]}...; install mmactclr again')
    return path
