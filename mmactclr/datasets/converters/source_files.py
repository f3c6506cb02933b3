"""Files of a source: in folders, in zip archives, or both."""
import fnmatch
import functools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mmactclr.datasets.archive_format import KEYPOINTS, META
from mmactclr.errors import DataError

# Far above any recording; a file beyond it is not one, and must not fill the memory.
MAX_BYTES = 1 << 30
# Files that are tried for one that is whole.
_TRIED = 100

Found = TypeVar('Found')
File = TypeVar('File', bound='SourceFile')


@dataclass(frozen=True)
class SourceFile:
    """One file to read, in the file system or in a zip.

    Attributes:
        path: The file, or the zip that holds it.
        member: Name within the zip, empty for a plain file.
        size: Length in bytes, of the unpacked content.
        stamp: Differs when the content was replaced: modification time, or the check sum that the zip notes.
    """

    path: Path
    member: str = ''
    size: int = 0
    stamp: int = 0

    def __str__(self) -> str:
        return f'{self.path}/{self.member}' if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Last part of the name, with suffix."""
        return PurePosixPath(self.member.replace('\\', '/')).name if self.member else self.path.name

    @property
    def stem(self) -> str:
        """Last part of the name, without suffix."""
        return PurePosixPath(self.name).stem

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders above the file, outermost first; those of a zip include the zip's own name."""
        inside = PurePosixPath(self.member.replace('\\', '/')).parent.parts if self.member else ()
        return (*self.path.parent.parts, *((self.path.stem, *inside) if self.member else ()))

    def read(self) -> bytes:
        """The whole content.

        Raises:
            DataError: It cannot be read, or is larger than any recording.
        """
        if self.size > MAX_BYTES:
            raise DataError(f'{self}: {self.size} bytes, expected a recording of at most {MAX_BYTES}')
        try:
            if not self.member:
                return self.path.read_bytes()
            with _open_zip(self.path).open(self.member) as file:
                content = file.read(self.size + 1)
            if len(content) != self.size:
                raise DataError(f'{self}: has not the {self.size} bytes that the zip promises: copy the zip again')
            return content
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
                KeyError) as error:
            raise DataError(f'{self} cannot be read ({type(error).__name__}: {error})') from error


@functools.lru_cache(maxsize=16)
def _open_zip(path: Path) -> zipfile.ZipFile:
    """One handle a process and zip: reading the directory of a large one takes seconds."""
    return zipfile.ZipFile(path)


def close_zips() -> None:
    """Forgets handles that are open, so that the next read opens its own."""
    _open_zip.cache_clear()


def natural_key(text: str) -> tuple:
    """Sorts ``take2`` before ``take10``."""
    return tuple(int(part) if i % 2 else part for i, part in enumerate(re.split(r'([0-9]+)', text)))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # what starts with a dot is an editor's or a Mac's, not a recording
    return not name.startswith('.') and any(fnmatch.fnmatch(name.lower(), pattern) for pattern in patterns)


def find_files(src: str | Path, *patterns: str) -> list[SourceFile]:
    """All files of a source whose name matches one of the patterns, in natural order of their names.

    Args:
        src: A folder (searched with all below it, zips included), a zip, or a single file.
        patterns: Such as ``*.skeleton``, in lower case; case does not matter.

    Raises:
        DataError: ``src`` does not exist, a zip is damaged, or nothing matches.
    """
    src = Path(src)
    if not src.exists():
        raise DataError(f'{src} does not exist: expected a folder, a zip or a file {" or ".join(patterns)}')
    if src.is_file() and src.suffix.lower() != '.zip':
        candidates = [src]
        patterns = ('*',)
    else:
        candidates = sorted(_files_below(src)) if src.is_dir() else [src]
    found = []
    for path in candidates:
        if _matches(path.name, patterns):
            status = path.stat()
            found.append(SourceFile(path, '', status.st_size, status.st_mtime_ns))
        elif path.suffix.lower() == '.zip':
            found += _members(path, patterns)
    if not found:
        raise DataError(f'{src} holds no file {" or ".join(patterns)}, neither in folders nor in zips')
    return sorted(found, key=lambda file: (natural_key(file.name), str(file)))


def _files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder and those in it, but for archives that were written there and for hidden folders."""
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.is_dir() and not path.name.startswith('.') and not ((path / META).is_file()
                                                                     and (path / KEYPOINTS).is_file()):
            yield from _files_below(path)


def first_readable(files: Sequence[File], read: Callable[[File], Found]) -> tuple[File, Found]:
    """The first file that can be read, and what was found in it; the files say what the others look like.

    Raises:
        DataError: None of the first hundred can be read; the message is that of the first.
    """
    reason = None
    for file in files[:_TRIED]:
        try:
            return file, read(file)
        except DataError as error:
            reason = reason or error
    raise reason or DataError('there is no file to read')


def _members(path: Path, patterns: Sequence[str]) -> list[SourceFile]:
    try:
        entries = _open_zip(path).infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f'{path} cannot be read as zip ({error}): copy or download it again') from error
    files = [SourceFile(path, entry.filename, entry.file_size, entry.CRC) for entry in entries if not entry.is_dir()]
    return [file for file in files if _matches(file.name, patterns)]
