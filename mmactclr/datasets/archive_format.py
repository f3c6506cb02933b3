"""Names, header and metadata of the files in a skeleton archive."""
import hashlib
import json
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

from mmactclr.errors import DataError

FORMAT = 'mmactclr-skeleton-archive'
VERSION = 1
KEYPOINTS, INDEX, META = 'keypoints.npy', 'index.npz', 'meta.json'
# The cache of prepared sequences that SkeletonDataset keeps inside the folder.
PREPARED = 'prepared'
REQUIRED_COLUMNS = ('offset', 'frames', 'persons', 'label', 'name')
# What numpy raises, by the place where a damaged file gives out.
DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError,
          OverflowError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError, NotImplementedError)


def read_meta(path: Path) -> dict[str, Any]:
    """Reads and checks ``meta.json`` of an archive.

    Raises:
        DataError: ``path`` is no archive, or the file is damaged or of another version.
    """
    if not path.is_dir():
        raise DataError(
            f'there is no skeleton archive at {path}: make one with '
            'tools/dataset_converters/convert.py or set data_root')
    file = path / META
    if not file.is_file():
        raise DataError(f'{path} is not a skeleton archive: it has no {META}')
    try:
        meta = json.loads(file.read_text(encoding='utf-8'))
    except OSError as error:
        raise DataError(f'{file} cannot be read ({error}): check its permissions') from error
    except (ValueError, RecursionError) as error:
        raise DataError(f'{file} is not valid JSON ({error}): convert the data again') from error
    if not isinstance(meta, dict) or meta.get('format') != FORMAT:
        raise DataError(f'{file} does not say "format": "{FORMAT}": not a skeleton archive')
    if meta.get('version') != VERSION:
        raise DataError(
            f'{file} is of version {meta.get("version")}, this code reads version {VERSION}: '
            'convert the data again')
    fields = dict(layout=dict, classes=list, files=dict, sequences=int, splits=dict)
    for field, kind in fields.items():
        if not isinstance(meta.get(field), kind):
            raise DataError(f'{file}: field {field!r} is missing or not a {kind.__name__}')
    for name in (KEYPOINTS, INDEX):
        entry = meta['files'].get(name)
        if not isinstance(entry, dict) or not {'bytes', 'sha256'} <= entry.keys():
            raise DataError(f'{file}: field "files" has no size and sha256 for {name}')
    return meta


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The first 128 bytes of a little-endian float32 ``.npy`` file (format 1.0).

    Of constant length, so that it can be written before the number of rows is known and again
    when it is.
    """
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape!r}, }}"
    return b'\x93NUMPY\x01\x00' + (118).to_bytes(2, 'little') + text.ljust(117).encode() + b'\n'


def check_destination(dst: Path, overwrite: bool) -> None:
    """Refuses to write where something else lies.

    Raises:
        DataError: ``dst`` is a file, holds anything that is not part of an archive, or is an
            archive and ``overwrite`` is not set.
    """
    if not dst.exists():
        return
    if not dst.is_dir():
        raise DataError(f'{dst} exists and is not a folder: choose another destination')
    foreign = {entry.name for entry in dst.iterdir()} - {KEYPOINTS, INDEX, META, PREPARED}
    is_archive = (dst / META).is_file()
    if foreign or (any(dst.iterdir()) and not is_archive):
        raise DataError(
            f'{dst} exists and is not only a skeleton archive (it holds '
            f'{sorted(foreign)[:5] or "no " + META}): choose another destination')
    if is_archive and not overwrite:
        raise DataError(f'{dst} already holds an archive: pass --overwrite to replace it')
