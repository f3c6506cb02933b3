"""Reading checkpoints without executing anything."""
import difflib
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmactclr.errors import DataError
from mmactclr.utils.zoo import find_checkpoint, list_zoo

# how a zip archive begins, for torch
_ZIP = b'PK\x03\x04'
# what torch.save writes besides plain values where a model's state dict is saved as it is
_ATTRIBUTES = {'_metadata'}


def require_file(path: str | Path, what: str) -> Path:
    """The path, if there is such a file.

    Raises:
        DataError: If there is not, or it is a folder; the message lists the checkpoints there.
    """
    path = Path(path)
    try:
        folder, file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        raise DataError(f'{what} {str(path)[:200]!r} is no name of a file ({error})') from error
    if folder:
        inside = sorted(p.name for p in path.glob('*.pth'))
        raise DataError(f'{what} {str(path)!r} is a folder; name a file in it, {", ".join(inside) or "*.pth"}')
    if not file:
        near = sorted(p.name for p in path.parent.glob('*.pth')) if path.parent.is_dir() else []
        hint = f'that folder holds {", ".join(near)}' if near else 'there is no *.pth file in that folder'
        named = difflib.get_close_matches(path.stem, list_zoo(), n=3) if what == 'checkpoint' else []
        hint += f'; published weights of a similar name: {", ".join(named)}' if named else ''
        raise DataError(f'{what} {str(path)!r} does not exist; {hint}')
    return path


def load_plain(path: Path) -> Any:
    """What a file of ``torch.save`` holds, on the CPU, with ``weights_only=True`` and its checksums verified.

    torch itself compares no checksums of tensor data: a flipped bit would become a wrong weight without a word. Files
    of torch before 1.6 are no zip archives and have none.

    Raises:
        DataError: If bytes of the file are not those that were written.
        Exception: Whatever damaged bytes make the restricted unpickler raise.
    """
    with path.open('rb') as file:
        start = file.read(len(_ZIP))
    if start == _ZIP:
        check_zip(path)
    with warnings.catch_warnings():
        # what the restricted reader thinks of the file's pickle format ends in a line of the caller's
        warnings.simplefilter('ignore')
        content = torch.load(path, map_location='cpu', weights_only=True)
    _check_objects(content, path)
    return content


def check_packing(path: Path) -> None:
    """Refuse an archive whose parts are packed or overlap, before torch unpacks it; reads its index alone.

    Raises:
        DataError: If they are.
        Exception: Whatever :mod:`zipfile` raises of what is no whole archive.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    packed = next((part.filename for part in parts if part.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None or sum(part.file_size for part in parts) > path.stat().st_size:
        # a few bytes may unpack to any number of them
        raise DataError(f'checkpoint {str(path)!r} is a packed archive (part {packed or parts[0].filename!a}), '
                        'torch.save writes its parts as they are; unpack it and save it anew')


def check_zip(path: Path) -> None:
    """:func:`check_packing`, and that every part has the checksum that it was written with.

    Raises:
        DataError: If one of them has another one, or the archive is packed.
        Exception: Whatever :mod:`zipfile` raises of what is no whole archive.
    """
    check_packing(path)
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise DataError(f'checkpoint {str(path)!r} is damaged: the checksum of its part {damaged!a} is another one '
                        'than was written; take an intact copy of the file')


def _check_objects(content: Any, path: Path) -> None:
    """Refuse tensors that claim more values than the file holds, and dicts whose own attributes were replaced."""
    waiting, seen = [content], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        if isinstance(node, OrderedDict):
            _check_attributes(node, path)
        if torch.is_tensor(node):
            _check_extent(node, path)
        elif isinstance(node, dict):
            seen.add(id(node))
            waiting += [value for value in dict.values(node) if not isinstance(value, (str, int, float))]
        elif isinstance(node, (list, tuple)):
            seen.add(id(node))
            waiting += [value for value in node if not isinstance(value, (str, int, float))]


def _check_attributes(node: OrderedDict, path: Path) -> None:
    attributes = vars(node)
    metadata = attributes.get('_metadata', {})
    if not set(attributes) <= _ATTRIBUTES or not isinstance(metadata, dict) \
            or not all(isinstance(value, dict) for value in dict.values(metadata)):
        raise DataError(f'checkpoint {str(path)!r}: a dict in it has the attributes '
                        f'{sorted(map(str, attributes))} of its own, expected none; take an intact copy of the file')


def _check_extent(value: Tensor, path: Path) -> None:
    if value.layout == torch.strided and not value.is_meta and not value.is_quantized:
        held = value.untyped_storage().nbytes() // value.element_size()
        if value.numel() > held:
            raise DataError(f'checkpoint {str(path)!r}: a tensor in it claims {value.numel():,} values of shape '
                            f'{tuple(value.shape)}, the file holds {held:,}; take an intact copy of the file')


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint on the CPU with ``weights_only=True``; the checksums of the file are verified.

    Args:
        path: File, or the name of published weights.

    Raises:
        DataError: If the file does not exist, is damaged, or is no checkpoint.
    """
    path = require_file(find_checkpoint(path), 'checkpoint')
    try:
        checkpoint = load_plain(path)
    except DataError:
        raise
    except Exception as error:  # the restricted unpickler raises whatever the bytes make it do
        raise DataError(
            f'checkpoint {str(path)!r} cannot be read ({type(error).__name__}): it was cut short, is no checkpoint, or '
            'holds objects besides tensors and plain values, which are never executed; expected a file as '
            'WORK_DIR/epoch_N.pth of tools/train.py') from error
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state) \
            or not any(torch.is_tensor(value) for value in state.values()):
        raise DataError(f'checkpoint {str(path)!r} holds no weights by name (found {type(checkpoint).__name__}); '
                        "expected a dict with 'state_dict', as tools/train.py writes it")
    if not isinstance(checkpoint.get('meta', {}), dict):
        raise DataError(f"checkpoint {str(path)!r}: 'meta' is of type {type(checkpoint['meta']).__name__}, expected a "
                        'dict; take an intact copy of the file')
    return checkpoint


def state_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, without the prefix that a distributed wrapper adds."""
    state = checkpoint.get('state_dict', checkpoint)
    return {name.removeprefix('module.'): value for name, value in state.items()}
