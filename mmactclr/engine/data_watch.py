"""The files that a data set is read from while it trains, and whether they are still those."""
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.archive_format import INDEX, KEYPOINTS, META, file_sha256, read_meta
from mmactclr.errors import DataError


class FileState(NamedTuple):
    """What a file system says of a file.

    Attributes:
        size: Bytes.
        changed: Time of the last change, nanoseconds.
        inode: Number of the file; another one where it was replaced.
    """

    size: int
    changed: int
    inode: int


def archives_of(dataset: Any) -> Iterator[tuple[SkeletonArchive, Path | None]]:
    """The archives below a data set or a wrapper around some, each with its folder of prepared sequences, if any."""
    archive = getattr(dataset, 'archive', None)
    if isinstance(archive, SkeletonArchive):
        yield archive, getattr(getattr(dataset, '_prepared', None), 'folder', None)
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for one in inner:
        if one is not None:
            yield from archives_of(one)


class DataWatch:
    """Remembers the files of data sets, and says what became of them.

    Args:
        datasets: Data sets whose archives are watched.
    """

    def __init__(self, datasets: list[Any]) -> None:
        self.checksums: dict[str, str] = {}
        self._files: dict[Path, FileState] = {}
        for dataset in datasets:
            for archive, prepared in archives_of(dataset):
                self.checksums[str(archive.path)] = archive.checksum
                paths = [archive.path / name for name in (KEYPOINTS, INDEX, META)]
                paths += [prepared / KEYPOINTS] if prepared is not None else []
                for path in paths:
                    if path not in self._files and (state := _state(path)):
                        self._files[path] = state

    def check(self) -> None:
        """Compare size, time and number of every file with what they were.

        A file whose time alone changed is read: where it has the checksum that ``meta.json`` noted it is still the
        same. Costs a few system calls otherwise.

        Raises:
            DataError: If a file is gone, was cut short or holds something else; it is named.
        """
        for path, before in self._files.items():
            now = _state(path)
            if now == before:
                continue
            if now is None:
                raise DataError(f'{path} is gone while the run reads it')
            if now.size != before.size:
                how = 'cut short' if now.size < before.size else 'changed'
                raise DataError(f'{path} was {how} while the run reads it: it has {now.size} bytes, at the start '
                                f'{before.size}')
            if not self._same_content(path, now, before):
                raise DataError(f'{path} was changed while the run reads it')
            self._files[path] = now

    def _same_content(self, path: Path, now: FileState, before: FileState) -> bool:
        if path.name == META:
            return str(path.parent) not in self.checksums or self._checksum(path.parent) == self.checksums[
                str(path.parent)]
        if path.parent in {Path(name) for name in self.checksums}:
            return file_sha256(path) == read_meta(path.parent)['files'][path.name]['sha256']
        # prepared sequences: nobody notes their checksum, but a new file under the old name is one made of the same
        # archive by the same steps, while the old one stays mapped
        return now.inode != before.inode

    @staticmethod
    def _checksum(folder: Path) -> str:
        return SkeletonArchive.open(folder).checksum


def _state(path: Path) -> FileState | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return FileState(stat.st_size, stat.st_mtime_ns, stat.st_ino)
