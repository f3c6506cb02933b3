"""From a checkpoint of a run to a file that others use: what training alone needs is left out, a card is written."""
import hashlib
from pathlib import Path
from typing import Any

import yaml

from mmactclr.errors import ConfigError
from mmactclr.utils import write_text
from mmactclr.utils.zoo import COMPUTED, WRITTEN, check_card

from .card import ModelCard, write_checkpoint
from .fit import card_streams, check_fit
from .reading import read_checkpoint, require_file, state_of

# parts of names of weights that only training needs: key encoders, memories
_TRAINING = {'backbone_k', 'projector_k', 'memory'}


def publish_model(src: str | Path, about: str | Path, folder: str | Path, overwrite: bool = False) -> Path:
    """Write ``FOLDER/NAME.pth`` and ``FOLDER/NAME.yml`` from a checkpoint and a description of it.

    The file keeps online encoder, projector or head, static anchor and model card. Optimiser, schedules, key encoder,
    memory and log of the run are left out.

    Args:
        src: Checkpoint with a model card.
        about: YAML file with the fields of a card that a person writes, :data:`~mmactclr.utils.zoo.WRITTEN`; the card
            of an earlier version of the weights serves as well.
        folder: Where the two files are written.
        overwrite: Replace them.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: If the checkpoint has no model card, or the files exist.
        DataError: If a file cannot be read or written, or the description lacks a field.
    """
    source = str(src)
    checkpoint = read_checkpoint(src)
    model_card = ModelCard.of(checkpoint, source)
    if model_card is None:
        raise ConfigError(f'checkpoint {source!r} has no model card, without which nobody can use it; train it with '
                          'this version, or convert it: tools/model_converters/official_to_mmactclr.py')
    card = _described(require_file(about, 'description'))
    path = Path(folder) / f'{card["name"]}.pth'
    if path.exists() and not overwrite:
        raise ConfigError(f'{path} exists; choose another name in {about}, or replace it with --overwrite')
    state = {name: value for name, value in state_of(checkpoint).items() if not _TRAINING & set(name.split('.'))}
    model: Any = model_card.build(source)
    check_fit(model, state, source, trained_only=True, card=model_card)
    write_checkpoint(path, {name: value.contiguous().clone() for name, value in state.items()}, model_card)
    content = path.read_bytes()
    branches = model.branches() if hasattr(model, 'branches') else {'': model}
    card |= dict(
        sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), method=model_card.model['type'],
        streams=card_streams(model_card),
        encoder_values=sum(value.numel() for branch in branches.values() for value in branch.backbone.parameters()),
        layout=model_card.joint_layout().name, num_frames=model_card.num_frames, max_persons=model_card.max_persons)
    write_text(path.with_suffix('.yml'), yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=110))
    return path


def _described(path: Path) -> dict[str, Any]:
    try:
        card = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f'{path} cannot be read as YAML ({" ".join(str(error).split())})') from error
    check_card(card, str(path), WRITTEN)
    unknown = sorted(set(card) - set(WRITTEN) - set(COMPUTED))
    if unknown:
        raise ConfigError(f'{path}: no card has a field {", ".join(unknown)}; fields are {", ".join(WRITTEN)}')
    if Path(card['name']).name != card['name'] or '.' in card['name']:
        raise ConfigError(f'{path}: name is {card["name"]!r}, expected letters, digits, _ and - as in the name of a '
                          'config')
    return card
