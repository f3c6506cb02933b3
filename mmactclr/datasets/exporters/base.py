"""What every exporter shares: nothing is replaced unasked, and a file is whole or absent."""
import argparse
import os
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.errors import DataError


class BaseExporter(ABC):
    """Turns a skeleton archive into another format.

    Register a subclass in ``EXPORTERS`` under the word that users type as FORMAT; the first line of its docstring is
    what ``export.py --help`` says about it.

    Attributes:
        folder_of (tuple[str, ...]): Patterns of what a folder of this format holds, relative to it; empty for a format
            of one file.

    Example:
        >>> @EXPORTERS.register_module('mine')
        ... class MyExporter(BaseExporter):
        ...     '''My motion files.'''
        ...     def write(self, archive, dst, **options):
        ...         with dst.open('wb') as file:
        ...             np.save(file, np.concatenate([archive.sequence(i).ravel() for i in range(len(archive))]))
    """

    folder_of: tuple[str, ...] = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:  # noqa: B027
        """Adds the options of this format to the command line; most formats have none."""

    @abstractmethod
    def write(self, archive: SkeletonArchive, dst: Path, *args: Any, **options: Any) -> None:
        """Writes the archive to ``dst``: a file that does not exist, or an empty folder.

        Args:
            archive: What to write.
            dst: A temporary name; :meth:`export` gives it the final one.
            **options: Values of the arguments of :meth:`add_arguments`.

        Raises:
            DataError: The format cannot hold this archive.
        """

    def export(self, archive: str | Path, dst: str | Path, *, overwrite: bool = False, **options: Any) -> Path:
        """Writes an archive in this format, under a temporary name until it is complete.

        Args:
            archive: Archive folder.
            dst: File, or folder, to create.
            overwrite: Replace what an export wrote to ``dst`` before.
            **options: Values of the arguments of :meth:`add_arguments`.

        Returns:
            ``dst``.

        Raises:
            DataError: There is no archive, the format cannot hold it, or ``dst`` must not be replaced.
            ConfigError: The options do not fit the archive.
        """
        opened, dst = SkeletonArchive.open(archive), Path(dst)
        self._check_destination(dst, overwrite)
        dst.parent.mkdir(parents=True, exist_ok=True)
        aside = dst.with_name(f'.{dst.name}.partial')
        _remove(aside)
        try:
            if self.folder_of:
                aside.mkdir()
            self.write(opened, aside, **options)
            if dst.is_dir():
                old = dst.with_name(f'.{dst.name}.old')
                _remove(old)
                os.replace(dst, old)
                os.replace(aside, dst)
                _remove(old)
            else:
                os.replace(aside, dst)
        finally:
            _remove(aside)
        return dst

    def _check_destination(self, dst: Path, overwrite: bool) -> None:
        if not dst.exists():
            return
        if dst.is_dir() != bool(self.folder_of):
            kind, wanted = ('folder', 'file') if dst.is_dir() else ('file', 'folder')
            raise DataError(f'{dst} is a {kind}, this format is a {wanted}: choose another destination')
        if self.folder_of:
            own = {path for pattern in self.folder_of for path in dst.glob(pattern)}
            own |= {path.parent for path in own}
            if foreign := sorted(str(path.relative_to(dst)) for path in set(dst.rglob('*')) - own):
                raise DataError(f'{dst} holds more than files of this format (such as {foreign[0]}): choose another '
                                'destination')
            if not own:
                return
        if not overwrite:
            raise DataError(f'{dst} exists: pass --overwrite to replace it')


def unique_names(archive: SkeletonArchive) -> list[str]:
    """Names of all sequences.

    Raises:
        DataError: Two sequences share one, in a format that tells them by it.
    """
    names = [str(name) for name in archive.column('name')]
    (twice, count), = Counter(names).most_common(1)
    if count > 1:
        raise DataError(f'{archive.path}: two sequences are called {twice!r}, and this format tells sequences by their '
                        'name: convert the data again with other names')
    return names


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
