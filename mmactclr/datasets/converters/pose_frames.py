"""Videos of which every frame has a file of its own, as OpenPose writes them."""
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .source_files import SourceFile

_FRAME = re.compile(r'(?P<video>.+)_(?P<number>[0-9]{12})_keypoints')


@dataclass(frozen=True)
class FrameFiles(SourceFile):
    """The files of one video, which stand for a file ``VIDEO.json`` in their folder.

    A folder that is called as the video stands for the video as well: its file is beside the folder.

    Attributes:
        frames: (number, file) of every frame.
    """

    frames: tuple[tuple[int, SourceFile], ...] = field(kw_only=True)

    @classmethod
    def of(cls, video: str, frames: Sequence[tuple[int, SourceFile]]) -> 'FrameFiles':
        """Joins the files of a video."""
        first = frames[0][1]
        folder = PurePosixPath(first.member.replace('\\', '/')).parent if first.member else first.path.parent
        folder = folder.parent if folder.name == video else folder
        stamp = zlib.crc32(repr([(number, file.size, file.stamp) for number, file in frames]).encode())
        path, member = (first.path, str(folder / f'{video}.json')) if first.member else (folder / f'{video}.json', '')
        return cls(Path(path), member, sum(file.size for _, file in frames), stamp, frames=tuple(frames))


def join_frames(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Puts the files of a video's frames together where their names say so (``VIDEO_000000000012_keypoints.json``).

    Returns:
        The other files as they are and one :class:`FrameFiles` a video, in order of their first frames.
    """
    # in order of the first frames: a file by its name, or a video by the folder and the name that its frames share
    joined: dict[tuple[str, ...], SourceFile | None] = {}
    videos: dict[tuple[str, ...], list[tuple[int, SourceFile]]] = {}
    for file in files:
        match = _FRAME.fullmatch(file.stem)
        if match is None:
            joined[str(file),] = file
            continue
        key = (str(file.path) if file.member else '', *file.folders, match['video'])
        joined.setdefault(key, None)
        videos.setdefault(key, []).append((int(match['number']), file))
    return [FrameFiles.of(key[-1], videos[key]) if file is None else file for key, file in joined.items()]
