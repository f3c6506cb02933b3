"""What the name and the folder of a file say about a recording."""
import re
from collections.abc import Sequence
from pathlib import Path

from mmactclr.errors import DataError

from .source_files import SourceFile

OTHER_NAME = 'the file has another name than a recording'


def numbers_in(pattern: re.Pattern[str], stem: str) -> dict[str, int]:
    """Numbers in the name of a file, by the names of the pattern's groups.

    Args:
        pattern: Must match; all its named groups are digits.
        stem: Name without suffix.

    Raises:
        DataError: The name does not match.
    """
    match = pattern.fullmatch(stem)
    if match is None:
        raise DataError(f'{stem!r} is not the name of a recording, expected {pattern.pattern}')
    return {name: int(digits) for name, digits in match.groupdict().items()}


def select_named(src: Path, files: Sequence[SourceFile], pattern: re.Pattern[str],
                 example: str) -> tuple[list[SourceFile], dict[str, list[str]]]:
    """Files whose name is that of a recording.

    Args:
        src: The source, for the message.
        files: Candidates.
        pattern: What the name without suffix must match as a whole.
        example: Such a name.

    Returns:
        The files, and the names of the others under the reason why they are left out.

    Raises:
        DataError: There is none.
    """
    named = [file for file in files if pattern.fullmatch(file.stem)]
    others = [file.name for file in files if not pattern.fullmatch(file.stem)]
    if not named:
        raise DataError(f'{src}: none of {len(files)} files has a name such as {example}; found {others[0]!r}')
    return named, {OTHER_NAME: others} if others else {}


def folders_below(src: Path, file: SourceFile) -> tuple[str, ...]:
    """Names of the folders between a source and a file, outermost first; a zip counts as a folder."""
    above = src.parts if src.is_dir() else src.parent.parts
    return file.folders[len(above):]
