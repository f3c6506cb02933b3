"""What every converter shares."""
import argparse
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmactclr.datasets.archive import SkeletonArchive

Item = TypeVar('Item')
# Seconds between two lines of progress where there is no terminal.
_SILENCE = 20


class BaseConverter(ABC):
    """Turns one source format into a skeleton archive.

    Register a subclass in ``CONVERTERS`` under the word that users type as FORMAT; the first line
    of its docstring is what ``convert.py --help`` says about it.

    Example:
        >>> @CONVERTERS.register_module('mine')
        ... class MyConverter(BaseConverter):
        ...     '''My motion capture files.'''
        ...     def convert(self, src, dst, *, overwrite=False, strict=False, **options):
        ...         with ArchiveWriter(dst, 'ntu25', classes=CLASSES, overwrite=overwrite,
        ...                            strict=strict) as writer:
        ...             for file in self.track(sorted(Path(src).glob('*.csv')), 'reading'):
        ...                 writer.add(read(file), label=label_of(file), name=file.stem)
        ...             return writer.finish()
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:  # noqa: B027
        """Adds the options of this format to the command line; most formats have none."""

    @abstractmethod
    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False,
                strict: bool = False) -> SkeletonArchive:
        """Reads ``src`` and writes the archive ``dst``.

        A format with options takes the values of the arguments of :meth:`add_arguments` as further keywords.

        Args:
            src: File or folder in the source format.
            dst: Archive folder to create.
            overwrite: Replace an archive at ``dst``.
            strict: Raise where a sequence would otherwise be left out.

        Returns:
            The archive, opened.

        Raises:
            DataError: The source is missing or damaged, or ``dst`` must not be replaced.
        """

    @staticmethod
    def track(items: Sequence[Item], description: str, step: int = 1) -> Iterator[Item]:
        """Yields the items under a progress bar; a pipe or a log file gets a line now and then.

        Args:
            items: What to go through.
            description: What is being done.
            step: What one item counts for.
        """
        console = Console(file=sys.stderr)
        if not console.is_terminal:
            yield from _lines(items, description)
            return
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(description, total=len(items) * step)
            for item in items:
                yield item
                progress.advance(task, step)


def _lines(items: Sequence[Item], description: str) -> Iterator[Item]:
    last = time.monotonic()
    for i, item in enumerate(items):
        if time.monotonic() - last > _SILENCE:
            last = time.monotonic()
            print(f'{description}: {100 * i // len(items)}%', file=sys.stderr, flush=True)
        yield item
