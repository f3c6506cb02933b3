"""Mutated files, for every reader of a text format."""
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmactclr.datasets.converters import Clip, SourceFile
from mmactclr.errors import DataError

_BAD_TOKENS = (b'nan', b'-inf', b'inf', b'1e400', b'-1', b'99999999999999999999', b'1000000', b'0', b'', b'abc', b'1_0',
               b'0x1F', b'\xd9\xa1', b'1,5', b'--', b'2.5', b'1e5', b'\x00', b'17', b'24', b'26',
               '\u00e4\u00f6'.encode(), b'3 4', b'\n', b'A' * 5000, b'"', b'{', b'null', b'true')


@dataclass(frozen=True)
class MemoryFile(SourceFile):
    """A source file that was never on disk."""

    content: bytes = b''

    def read(self) -> bytes:
        return self.content


def mutations(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Damaged copies: cut, garbage, other numbers, lines gone or doubled, other line ends."""
    rng = np.random.default_rng(seed)
    numbers = [match.span() for match in re.finditer(rb'[-+0-9.eE]+', content)]
    # the first numbers of a file are its counts
    early = numbers[:12]
    for i in range(count):
        kind = i % 8
        data = bytearray(content)
        at = int(rng.integers(len(data)))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            length = int(rng.integers(1, 40))
            data[at:at + length] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        elif kind in (2, 3):
            spans = early if kind == 2 else numbers
            start, stop = spans[int(rng.integers(len(spans)))]
            data[start:stop] = _BAD_TOKENS[int(rng.integers(len(_BAD_TOKENS)))]
        elif kind == 4:
            del data[at:at + int(rng.integers(1, 200))]
        elif kind == 5:
            lines = bytes(data).split(b'\n')
            at = int(rng.integers(len(lines)))
            lines[at:at + 1] = [lines[at]] * int(rng.choice([0, 2, 3]))
            data = bytearray(b'\n'.join(lines))
        elif kind == 6:
            lines = bytes(data).split(b'\n')
            at = int(rng.integers(len(lines)))
            words = lines[at].split()
            rng.shuffle(words)
            lines[at] = b' '.join(words[:int(rng.integers(len(words) + 1))])
            data = bytearray((b'\r\n' if i % 16 == 6 else b'\n').join(lines))
        else:
            data.insert(at, int(rng.integers(256)))
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        yield bytes(data)


def check_reader(read: Callable[[SourceFile], Iterable[Clip]], name: str, content: bytes, count: int = 2000,
                 place: str = r'line \d+') -> int:
    """A reader gives clips, or an error that names file and place; returns how many files were refused.

    Args:
        read: The reader.
        name: Name of the file.
        content: A file without fault; it must be read.
        count: Mutated files to try.
        place: Pattern of what must stand in every message beside the name.
    """
    assert list(read(MemoryFile(Path(name), size=len(content), content=content)))
    refused = 0
    for data in mutations(content, count):
        file = MemoryFile(Path(name), size=len(data), content=data)
        try:
            for clip in read(file):
                assert clip.keypoint.ndim == 4 and clip.keypoint.size <= 20 * len(content)
        except DataError as error:
            refused += 1
            assert name in str(error) and re.search(place, str(error)), error
            assert len(str(error)) < 600 and str(error).isprintable(), error
    assert refused > count // 10
    return refused
